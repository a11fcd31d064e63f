//! What a request asks for: a host and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hyper::Uri;

use super::refusal::Refusal;

/// The most characters of a host's name (RFC 1035, 2.3.4).
const NAME_CHARACTERS_MAX: usize = 253;

/// How it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// `CONNECT`: the proxy passes on bytes.
    Tunnel,
    /// A request with a whole address: the proxy asks for it.
    Request,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// In small letters, without the brackets of an IPv6 address.
    host: String,
    port: u16,
}

impl Target {
    /// The target of a CONNECT request: `host:port` (RFC 9110, 9.3.6).
    pub fn of_tunnel(uri: &Uri) -> Result<Self, Refusal> {
        match (uri.scheme(), uri.authority(), uri.path_and_query()) {
            (None, Some(authority), None) => Self::read(authority.as_str(), None),
            _ => Err(Refusal::Malformed("CONNECT names a host and a port, as in CONNECT pypi.org:443")),
        }
    }

    /// The target of any other request: `http://host[:port]/…`.
    pub fn of_request(uri: &Uri) -> Result<Self, Refusal> {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(Refusal::NoAddress) };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(Refusal::Scheme(scheme.to_owned()));
        }
        Self::read(authority.as_str(), Some(80))
    }

    /// Reads `host`, `host:port`; `default` where no port is named.
    fn read(authority: &str, default: Option<u16>) -> Result<Self, Refusal> {
        if authority.contains('@') {
            return Err(Refusal::Malformed("the address names a user; send its name and password in the header Authorization"));
        }
        let (host, rest) = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok()),
            None => Some(authority.split_at(authority.find(':').unwrap_or(authority.len()))).filter(|(host, _)| is_name(host)),
        }
        .ok_or(Refusal::Malformed("what stands for the host is neither a name nor an address"))?;
        let port = if rest.is_empty() { default } else { rest.strip_prefix(':').and_then(port) };
        let port = port.ok_or(Refusal::Malformed("a port is a number from 1 to 65535, and CONNECT names one"))?;
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    /// What no request can name.
    pub(super) fn nowhere() -> Self {
        Self { host: String::new(), port: 0 }
    }

    /// The host, as a name server is asked for it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, where it is an address.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// What the header `Host` says (RFC 9110, 7.2).
    pub fn host_header(&self) -> String {
        if self.port == 80 { self.shown_host() } else { self.to_string() }
    }

    fn shown_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.shown_host(), self.port)
    }
}

fn is_name(host: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !host.is_empty() && host.len() <= NAME_CHARACTERS_MAX && host.bytes().all(is_part)
}

fn port(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(text: &str) -> Result<String, String> {
        let uri: Uri = text.parse().map_err(|error| format!("no URI: {error}"))?;
        Target::of_tunnel(&uri).map(|target| target.to_string()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_tunnel_names_a_host_and_a_port_and_nothing_else() {
        assert_eq!(tunnel("PyPI.org:443").unwrap(), "pypi.org:443");
        assert_eq!(tunnel("52.94.5.1:443").unwrap(), "52.94.5.1:443");
        assert_eq!(tunnel("[2A05::1]:443").unwrap(), "[2a05::1]:443");
        assert_eq!(tunnel("a.example:65535").unwrap(), "a.example:65535");
        let long = format!("{}:443", "a".repeat(253));
        assert_eq!(tunnel(&long).unwrap(), long);
        for text in ["pypi.org", "pypi.org:", "pypi.org:0", "pypi.org:65536", "pypi.org:+443", "/", "http://pypi.org:443", "*"] {
            assert!(tunnel(text).is_err(), "{text}");
        }
        for text in ["user@pypi.org:443", "py%70i.org:443", "py!pi.org:443", "[::1%25eth0]:443", "[x]:443", "[::1]443", "::1:443"] {
            assert!(tunnel(text).is_err(), "{text}");
        }
        assert!(tunnel(&format!("{}:443", "a".repeat(254))).is_err());
    }

    #[test]
    fn a_request_names_a_whole_address_of_http() {
        let host = |text: &str| Target::of_request(&text.parse().unwrap()).map(|target| target.host_header());
        assert_eq!(host("http://deb.debian.org/debian").unwrap(), "deb.debian.org");
        assert_eq!(host("HTTP://Deb.Debian.Org:80").unwrap(), "deb.debian.org");
        assert_eq!(host("http://deb.debian.org:8080/").unwrap(), "deb.debian.org:8080");
        assert_eq!(host("https://deb.debian.org/").unwrap_err(), Refusal::Scheme("https".to_owned()));
        assert_eq!(host("/debian").unwrap_err(), Refusal::NoAddress);
        assert!(matches!(host("http://u:p@deb.debian.org/").unwrap_err(), Refusal::Malformed(why) if why.contains("Authorization")));
    }
}
