//! Why the proxy does not do what it is asked, in words for who set a program to use it.

use std::fmt;
use std::net::IpAddr;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::target::{Manner, Target};

/// The body of an answer: the target's, or a text of the proxy.
pub type Body = Either<Incoming, Full<Bytes>>;

/// In how many seconds it may be otherwise.
const AGAIN_SECONDS: u32 = 5;

/// Why there is no answer of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is no request that can be passed on.
    Malformed(&'static str),
    /// It is a request as a web server gets it.
    NoAddress,
    /// It has not come within its time.
    TooSlow,
    /// Neither http nor https.
    Scheme(String),
    /// TRACE, or a request that is for one of the proxies on its way.
    ForProxies,
    /// Another port.
    Port(Target, Manner),
    /// Nothing but the cluster's secret is reached through the proxy.
    SecretOnly(Target),
    /// The host has no address that the proxy connects to.
    Inner(Target, IpAddr),
    /// The host has no address.
    NotFound(Target, String),
    /// The host does not answer.
    Unreachable(Target, String),
    /// The host's answer is none.
    NoAnswer(Target, String),
    /// The client has so many connections as one may have.
    ClientFull(usize),
    /// All places are taken.
    Full,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::NoAddress => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Scheme(_) | Self::Port(..) | Self::SecretOnly(_) | Self::Inner(..) => StatusCode::FORBIDDEN,
            Self::ForProxies => StatusCode::NOT_IMPLEMENTED,
            Self::NotFound(..) | Self::Unreachable(..) | Self::NoAnswer(..) => StatusCode::BAD_GATEWAY,
            Self::ClientFull(_) | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The words of the status line: of an answer to CONNECT most programs show nothing else.
    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "not a request for a proxy",
            Self::NoAddress => "this is a proxy and no web server",
            Self::TooSlow => "the request has not come",
            Self::Scheme(_) => "only http and https",
            Self::ForProxies => "not passed on",
            Self::Port(_, Manner::Tunnel) => "tunnels lead to port 443 only",
            Self::Port(_, Manner::Request) => "http is asked at port 80 only",
            Self::SecretOnly(_) => "this proxy leads to Secrets Manager only",
            Self::Inner(..) => "only public IPv4 addresses are reached through the proxy",
            Self::NotFound(..) => "the proxy finds no such host",
            Self::Unreachable(..) => "the proxy does not reach the host",
            Self::NoAnswer(..) => "the host gives the proxy no answer",
            Self::ClientFull(_) => "too many connections of this node",
            Self::Full => "the proxy is busy",
        }
    }

    /// As an answer.
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(Either::Right(Full::from(format!("{self}\n"))));
        *response.status_mut() = self.status();
        response.extensions_mut().insert(ReasonPhrase::from_static(self.reason().as_bytes()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, AGAIN_SECONDS.into());
        }
        if matches!(self, Self::Malformed(_)) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The whole answer as bytes, for a connection whose requests are not read.
    pub fn bytes(&self) -> Vec<u8> {
        let (status, reason, text) = (self.status().as_u16(), self.reason(), format!("{self}\n"));
        let again = if *self == Self::TooSlow { String::new() } else { format!("Retry-After: {AGAIN_SECONDS}\r\n") };
        let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{again}", text.len());
        format!("{head}Connection: close\r\n\r\n{text}").into_bytes()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "The request is not passed on: {why}."),
            Self::NoAddress => f.write_str(
                "This is the cluster's proxy, and it was asked as a web server is. A program uses it by http_proxy and https_proxy, \
                 or by a setting of its own, and then asks for a whole address, such as http://deb.debian.org/.",
            ),
            Self::TooSlow => f.write_str("The request has not come within its time. Send it again."),
            Self::Scheme(scheme) => write!(
                f,
                "An address of {scheme} was asked for as a request of http. Only http and https are reached through the proxy: http by \
                 requests with a whole address, https by CONNECT. Set https_proxy as well as http_proxy; fetch the rest on your own \
                 machine and copy it to the cluster."
            ),
            Self::ForProxies => f.write_str("Requests that proxies on their way answer (TRACE, Max-Forwards) are not passed on."),
            Self::Port(target, Manner::Tunnel) => write!(
                f,
                "A tunnel to {target} was asked for. Only http and https are reached through the proxy, and tunnels lead to port 443 \
                 only. Use an https address of the same host."
            ),
            Self::Port(target, Manner::Request) => write!(
                f,
                "{target} was asked for. Only http and https are reached through the proxy, http at port 80 only. Use an https address \
                 of the same host, or one without a port."
            ),
            Self::SecretOnly(target) => write!(
                f,
                "{target} was asked for. This proxy leads to Secrets Manager of the Region only. Ask your administrator which way to \
                 the Internet compute nodes have here."
            ),
            Self::Inner(target, address) => write!(
                f,
                "{target} was asked for, which leads to {address}. Addresses of this network are not reached through the proxy, nor \
                 those of IPv6: it connects to public IPv4 addresses. Ask a machine of this network without the proxy: name it in \
                 no_proxy."
            ),
            Self::NotFound(target, why) => {
                write!(f, "{target} was asked for, and the login node finds no address of it: {why}. Look at the name.")
            }
            Self::Unreachable(target, why) => {
                write!(f, "{target} was asked for, and the login node does not reach it: {why}. Try it again later, or another mirror.")
            }
            Self::NoAnswer(target, why) => {
                write!(f, "{target} was asked for, and gives no answer of HTTP: {why}. Try it again, or another mirror.")
            }
            Self::ClientFull(most) => {
                write!(f, "This node has {most} connections to the proxy, as many as one may have. Try it again when some have ended.")
            }
            Self::Full => f.write_str("All places of the proxy are taken. Try it again in some seconds."),
        }
    }
}
