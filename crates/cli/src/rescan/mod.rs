//! `clusterdrop admin rescan`: uploads that nobody has told the functions of, found by hand and sent to them.
//!
//! Read, choose (pure: `choice`), show, send. What is sent is a message in the failure queue in the form of S3's own notification, so
//! cf-watch takes it up as it would the lost event, and nothing has to be invoked.

mod choice;

use anyhow::{Result, bail};
use aws_sdk_s3::types::{EncodingType, Object};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use jiff::Timestamp;

use crate::account::Account;
use crate::arguments::RescanOptions;
use crate::call_error::call_error;
use crate::deployment::Deployment;
use crate::terminal::{line, one_line};
use choice::{Choice, Upload, decode, message};

/// SQS takes at most ten messages at a time.
const BATCH: usize = 10;

/// How often a long listing says how far it is: each so many pages of 1,000 objects.
const PAGES_SHOWN: usize = 10;

/// Shows the uploads that lie there, and sends them where that was said.
pub async fn rescan(account: &Account, deployment: &Deployment, options: &RescanOptions) -> Result<()> {
    let choice = Choice::of(options, Timestamp::now())?;
    let settings = Rescan {
        s3: account.s3.clone(),
        sqs: account.sqs.clone(),
        owner: deployment.account.clone(),
        bucket: deployment.parameter("UserBucket")?.to_owned(),
        queue: deployment.output("FailureQueueUrl")?.to_owned(),
    };
    let mut tally = Tally { after: options.after.clone(), ..Tally::default() };
    let ended = settings.go(&choice, options.yes, &mut tally).await;
    line(&tally.summary(options.yes, ended.is_ok()));
    ended
}

/// What was found and sent so far.
#[derive(Debug, Default)]
struct Tally {
    found: usize,
    sent: usize,
    /// The last key after which nothing was done yet.
    after: Option<String>,
    is_more: bool,
}

impl Tally {
    fn summary(&self, yes: bool, is_whole: bool) -> String {
        let mut said = match (self.found, yes) {
            (0, _) if is_whole => "No upload of that kind waits there.".to_owned(),
            (found, false) => format!("\n{}. Dry run: nothing was sent. To send them, say the same with --yes.", uploads(found)),
            (_, true) => format!(
                "\n{} sent to the failure queue; cf-watch takes them up in about a minute. Each gets its answer beside it, as if it had just been uploaded.",
                uploads(self.sent)
            ),
        };
        if let Some(after) = self.after.as_ref().filter(|_| self.is_more || !is_whole) {
            said += &format!("\nNot everything was looked at: go on with --after {:?}", one_line(after));
        }
        said
    }
}

fn uploads(count: usize) -> String {
    if count == 1 { "1 upload".to_owned() } else { format!("{count} uploads") }
}

/// The clients, the bucket and the queue of one run.
struct Rescan {
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    owner: String,
    bucket: String,
    queue: String,
}

impl Rescan {
    async fn go(&self, choice: &Choice, yes: bool, tally: &mut Tally) -> Result<()> {
        let mut pages = 0;
        loop {
            let (objects, is_more) = self.page(choice, tally.after.as_deref()).await?;
            pages += 1;
            if pages % PAGES_SHOWN == 0 {
                eprintln!("… {} objects looked at", pages * 1000);
            }
            let last = objects.last().map(|upload| upload.key.clone());
            let chosen: Vec<Upload> = objects.into_iter().filter(|upload| choice.wants(upload)).collect();
            for batch in chosen.chunks(BATCH) {
                let room = choice.most - tally.found;
                let batch = &batch[..batch.len().min(room)];
                for (n, upload) in batch.iter().enumerate() {
                    line(&choice.describe(tally.found + n + 1, &self.bucket, upload));
                }
                if yes && !batch.is_empty() {
                    self.send(batch).await?;
                    tally.sent += batch.len();
                }
                tally.found += batch.len();
                if let Some(upload) = batch.last() {
                    tally.after = Some(upload.key.clone());
                }
                if tally.found >= choice.most {
                    tally.is_more = true;
                    return Ok(());
                }
            }
            // The page is done to its end.
            match (is_more, last) {
                (true, Some(last)) => tally.after = Some(last),
                _ => return Ok(()),
            }
        }
    }

    /// One page of the listing. By key, not by token, so that another run can go on; encoded, because a key may hold what XML cannot.
    async fn page(&self, choice: &Choice, after: Option<&str>) -> Result<(Vec<Upload>, bool)> {
        let request = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&choice.prefix).set_start_after(after.map(str::to_owned));
        let request = request.encoding_type(EncodingType::Url).expected_bucket_owner(&self.owner);
        let what = format!("list s3://{}/{}", self.bucket, choice.prefix);
        let listed = request.send().await.map_err(|e| call_error("s3:ListBucket", &what, &e))?;
        let upload = |o: &Object| {
            let modified = Timestamp::from_second(o.last_modified()?.secs()).ok()?;
            Some(Upload { key: decode(o.key()?)?, modified })
        };
        Ok((listed.contents().iter().filter_map(upload).collect(), listed.is_truncated() == Some(true)))
    }

    async fn send(&self, uploads: &[Upload]) -> Result<()> {
        let entry = |(n, upload): (usize, &Upload)| {
            SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(message(&self.bucket, &upload.key)).build()
        };
        let entries = uploads.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
        let what = "send messages to the failure queue";
        let request = self.sqs.send_message_batch().queue_url(&self.queue).set_entries(Some(entries));
        let sent = request.send().await.map_err(|e| call_error("sqs:SendMessage", what, &e))?;
        // Those that were sent are sent again by the next run, which does no harm.
        match sent.failed().first() {
            None => Ok(()),
            Some(failed) => bail!("cannot {what}: {} ({})", failed.code(), failed.message().unwrap_or("no reason given")),
        }
    }
}
