//! `clusterdrop admin redrive`: shows what is parked, and sends it back to the failure queue, from which cf-watch takes it.
//!
//! A loop of our own, and not SQS's StartMessageMoveTask: that moves all messages or none, in the background, without
//! telling what they are about, and back to where each came from. Progress of days ago is of no use in the progress queue,
//! and the administrator wants to see, and to try one first.

mod parked;

use std::collections::BTreeSet;

use anyhow::Result;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName};

use crate::account::Account;
use crate::call_error::call_error;
use crate::deployment::Deployment;
use crate::terminal::line;
use parked::describe;

/// SQS gives and takes at most ten messages at a time.
const BATCH: usize = 10;

/// So long a message is hidden from others while we have it: many times what listing or sending takes.
const HIDDEN_SECONDS: i32 = 120;

/// SQS asks all its servers, and not some, as soon as it may wait at all. Without it a queue can look empty.
const WAIT_SECONDS: i32 = 1;

/// Shows what is parked and sends it back, or only shows it.
pub async fn redrive(account: &Account, deployment: &Deployment, dry_run: bool, max: Option<u32>) -> Result<()> {
    let queues = Queues {
        sqs: account.sqs.clone(),
        parked: deployment.output("ParkedQueueUrl")?.to_owned(),
        failures: deployment.output("FailureQueueUrl")?.to_owned(),
    };
    let max = max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    if dry_run { list(&queues, max).await } else { send_back(&queues, max).await }
}

async fn list(queues: &Queues, max: usize) -> Result<()> {
    let mut held = Vec::new();
    let listed = show_all(queues, max, &mut held).await;
    // Also after an error: what was taken is put back.
    queues.release(&held).await?;
    listed?;
    line(&match held.len() {
        0 => "Nothing is parked.".to_owned(),
        count => format!("\n{} parked. Dry run: nothing was moved.", messages(count)),
    });
    Ok(())
}

async fn show_all(queues: &Queues, max: usize, held: &mut Vec<Message>) -> Result<()> {
    let mut seen = BTreeSet::new();
    while held.len() < max {
        let batch = queues.receive(max - held.len()).await?;
        // Nothing more, or we were so slow that what we hold comes again.
        let fresh: Vec<Message> = batch.into_iter().filter(|m| seen.insert(m.message_id.clone())).collect();
        if fresh.is_empty() {
            break;
        }
        for message in fresh {
            held.push(message);
            show(held.len(), &held[held.len() - 1]);
        }
    }
    Ok(())
}

async fn send_back(queues: &Queues, max: usize) -> Result<()> {
    let mut sent = 0;
    let ended = send_all(queues, max, &mut sent).await;
    line(&match (sent, &ended) {
        (0, Ok(())) => "Nothing is parked.".to_owned(),
        (0, Err(_)) => "\nNothing was sent back.".to_owned(),
        (count, _) => {
            format!(
                "\n{} sent back. cf-watch tries again in about a minute; what fails once more is parked again after some attempts.",
                messages(count)
            )
        }
    });
    ended
}

async fn send_all(queues: &Queues, max: usize, sent: &mut usize) -> Result<()> {
    while *sent < max {
        let batch = queues.receive(max - *sent).await?;
        if batch.is_empty() {
            break;
        }
        for (n, message) in batch.iter().enumerate() {
            show(*sent + 1, message);
            if let Err(error) = queues.send(message).await {
                // This one and the rest go back at once, and do not wait for their time to pass.
                queues.release(&batch[n..]).await?;
                return Err(error);
            }
            *sent += 1;
            queues.remove(message).await?;
        }
    }
    Ok(())
}

fn show(number: usize, message: &Message) {
    for (n, text) in describe(message).into_iter().enumerate() {
        line(&if n == 0 { format!("{number:>3}. {text}") } else { format!("     {text}") });
    }
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// The two queues.
#[derive(Debug)]
struct Queues {
    sqs: aws_sdk_sqs::Client,
    parked: String,
    failures: String,
}

impl Queues {
    async fn receive(&self, wanted: usize) -> Result<Vec<Message>> {
        let count = i32::try_from(wanted.min(BATCH)).unwrap_or(1);
        let request = self.sqs.receive_message().queue_url(&self.parked).max_number_of_messages(count);
        let request = request.visibility_timeout(HIDDEN_SECONDS).wait_time_seconds(WAIT_SECONDS);
        let request = request.message_attribute_names("All").message_system_attribute_names(MessageSystemAttributeName::All);
        let received = request.send().await.map_err(|e| call_error("sqs:ReceiveMessage", "read the parked queue", &e))?;
        Ok(received.messages.unwrap_or_default())
    }

    async fn send(&self, message: &Message) -> Result<()> {
        let request = self.sqs.send_message().queue_url(&self.failures).message_body(message.body().unwrap_or_default());
        let request = request.set_message_attributes(message.message_attributes.clone());
        request.send().await.map(drop).map_err(|e| call_error("sqs:SendMessage", "send a message to the failure queue", &e))
    }

    /// Only after the send: a message that is in both queues is acted on twice, which does no harm; one in neither is lost.
    async fn remove(&self, message: &Message) -> Result<()> {
        let request = self.sqs.delete_message().queue_url(&self.parked).receipt_handle(message.receipt_handle().unwrap_or_default());
        let what = "remove a message from the parked queue that was sent back already (it will be there again; that does no harm)";
        request.send().await.map(drop).map_err(|e| call_error("sqs:DeleteMessage", what, &e))
    }

    /// Puts messages back where others see them.
    async fn release(&self, held: &[Message]) -> Result<()> {
        for batch in held.chunks(BATCH) {
            let entry = |(n, m): (usize, &Message)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(n.to_string())
                    .set_receipt_handle(m.receipt_handle.clone())
                    .visibility_timeout(0)
                    .build()
            };
            let entries = batch.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
            let what = format!("put messages back at once (they come back by themselves after {HIDDEN_SECONDS} seconds)");
            let request = self.sqs.change_message_visibility_batch().queue_url(&self.parked).set_entries(Some(entries));
            request.send().await.map_err(|e| call_error("sqs:ChangeMessageVisibility", &what, &e))?;
        }
        Ok(())
    }
}
