//! Which uploads are meant, how each is shown, and the message that tells cf-watch of it. Pure.

use anyhow::{Result, anyhow, bail};
use cf_core::first_hour::is_upload;
use cf_core::key::HOME;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;

use crate::arguments::RescanOptions;
use crate::terminal::plain;

/// An object of the users' bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its key.
    pub key: String,
    /// S3's time.
    pub modified: Timestamp,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What keys begin with.
    pub prefix: String,
    /// So many uploads at most.
    pub most: usize,
    now: Timestamp,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Choice {
    /// Reads the options.
    pub fn of(options: &RescanOptions, now: Timestamp) -> Result<Self> {
        if !options.prefix.starts_with(HOME) {
            bail!("cannot look below {:?}: uploads lie below {HOME} only. Give --prefix home/USER/", options.prefix);
        }
        let time = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        let (from, until) = (time(&options.newer_than)?, time(&options.older_than)?);
        if let (Some(from), Some(until)) = (from, until)
            && from >= until
        {
            bail!(
                "cannot find uploads newer than {from} and older than {until}: there is no such time. Exchange --newer-than and --older-than"
            );
        }
        let most = usize::try_from(options.max).unwrap_or(usize::MAX);
        Ok(Self { prefix: options.prefix.clone(), most, now, from, until })
    }

    /// Whether an object is meant: a request, of that time.
    pub fn wants(&self, upload: &Upload) -> bool {
        is_upload(&upload.key)
            && upload.key.starts_with(&self.prefix)
            && self.from.is_none_or(|from| upload.modified > from)
            && self.until.is_none_or(|until| upload.modified < until)
    }

    /// One line for an upload. Its name was chosen by a user, and must not steer the terminal.
    pub fn describe(&self, number: usize, bucket: &str, upload: &Upload) -> String {
        let when = upload.modified.strftime("%F %T UTC");
        let age = age(self.now.as_second() - upload.modified.as_second());
        format!("{number:>4}. s3://{bucket}/{}   {when}, {age} old", plain(&upload.key))
    }
}

/// A time: `90m`, `3h`, `2d` or `4w` ago, a day, or a moment as `2026-11-21T09:00:00Z`.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp> {
    let wrong = || anyhow!("cannot read {text:?} as a time: give 90m, 3h, 2d or 4w (ago), 2026-11-21 or 2026-11-21T09:00:00Z");
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<Date>() {
        return Ok(day.to_zoned(TimeZone::UTC)?.timestamp());
    }
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let count = text[..text.len() - 1].parse::<u32>().map_err(|_| wrong())?;
    now.checked_sub(SignedDuration::from_secs(i64::from(count) * seconds)).map_err(|_| wrong())
}

/// How long ago, in the largest unit that gives a whole number.
fn age(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..60 => (seconds.max(0), "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// What S3 leaves as it is in the keys of its notifications.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// S3's notification of an upload: the one form whose key reads the same for everybody, because it is always encoded.
pub fn message(bucket: &str, key: &str) -> String {
    let key = utf8_percent_encode(key, KEPT).to_string();
    let s3 = json!({"bucket": {"name": bucket}, "object": {"key": key}});
    json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Rescan", "s3": s3}]}).to_string()
}

/// A key of an encoded listing: form-encoded, `+` is a space (as botocore decodes it, handlers.py).
pub fn decode(key: &str) -> Option<String> {
    percent_decode_str(&key.replace('+', " ")).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
