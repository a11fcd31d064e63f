//! How a job's end comes to S3: its results, the verdict in its claim, what its user reads, and then it is pending no more.

use std::io::Read as _;
use std::path::Path;

use super::Poller;
use crate::jobs::Job;
use crate::jobs::claim::{self, Claim, Completed, Verdict};
use crate::jobs::work::{self, Folder};
use crate::store::{Expect, Store, StoreError};

impl<S: Store> Poller<S> {
    /// Stores what a job printed and left.
    pub(super) async fn deliver(&self, job: &Job, folder: &Folder, verdict: &Verdict) -> Result<(), String> {
        if matches!(verdict, Verdict::Rejected(_)) {
            return Ok(());
        }
        let prefix = self.keys.completed(job);
        let of_job = folder.clone();
        let (outputs, _) = blocking(move || Ok(work::outputs(&of_job))).await?;
        let files = outputs.into_iter().map(|(path, file)| (format!("{prefix}output/{path}"), file));
        for (key, file) in std::iter::once((format!("{prefix}logs"), folder.logs())).chain(files) {
            // Gone or changed meanwhile, by what the job left running: it is left out.
            let Some(content) = blocking(move || Ok(read_result(&file))).await? else { continue };
            self.put(&key, content, Expect::Anything).await.map_err(|error| format!("its results cannot be stored: {error}"))?;
        }
        Ok(())
    }

    /// Writes what came of a job into its claim, if that is as it was read.
    pub(super) async fn settle(&self, job: &Job, claim: Option<Claim>, etag: Option<String>, verdict: Verdict) -> Result<(), String> {
        let (Some(claim), Some(etag)) = (claim, etag) else { return Ok(()) };
        let settled = Claim { verdict: Some(verdict), ..claim };
        match self.put(&self.keys.claim(job), json(&settled), Expect::Is(etag)).await {
            // Another did it; what it wrote is read next.
            Ok(()) | Err(StoreError::Changed(_)) => Ok(()),
            Err(error) => Err(format!("what came of it cannot be stored: {error}")),
        }
    }

    pub(super) async fn show(&self, job: &Job, verdict: &Verdict) -> Result<(), String> {
        let (key, text) = match verdict {
            Verdict::Completed(completed) => (format!("{}status", self.keys.completed(job)), completed.status()),
            Verdict::Rejected(reason) => (self.keys.reason(job), format!("{reason}\n")),
        };
        self.put(&key, text.into_bytes(), Expect::Anything).await.map_err(|error| format!("its end cannot be shown: {error}"))
    }

    pub(super) async fn remove_pending(&self, job: &Job, folder: &Folder) -> Result<(), String> {
        let removed = self.store.remove(&self.system_bucket, &self.keys.pending(job)).await;
        removed.map_err(|error| format!("it has ended and cannot be removed from the pending ones: {error}"))?;
        folder.remove().map_err(|error| format!("its folder cannot be removed: {error}"))
    }

    pub(super) async fn put(&self, key: &str, content: Vec<u8>, expect: Expect) -> Result<(), StoreError> {
        self.store.put(&self.system_bucket, key, content, "application/octet-stream", expect).await.map(|_| ())
    }
}

/// Works on the disk where that holds up nothing else: the agent has one thread.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

/// A file that a job left, up to the bound; `None` where it is no plain file any more.
fn read_result(file: &Path) -> Option<Vec<u8>> {
    let file = crate::plain_file::open(file).ok()??;
    let mut content = Vec::new();
    file.take(work::OUTPUT_FILE_BYTES_MAX).read_to_end(&mut content).ok()?;
    Some(content)
}

pub(super) fn json(claim: &Claim) -> Vec<u8> {
    serde_json::to_vec(claim).unwrap_or_default()
}

/// Within the limits of a claim.
pub(super) fn bounded(verdict: Verdict) -> Verdict {
    let text = |text: &str, most| cf_core::characters::shown(text, 0, most);
    match verdict {
        // A reason may have lines, each of which is fit to be shown.
        Verdict::Rejected(reason) => Verdict::Rejected(reason.chars().take(claim::REASON_CHARS_MAX).collect()),
        Verdict::Completed(completed) => Verdict::Completed(Completed {
            outcome: text(&completed.outcome, 800),
            notes: completed.notes.iter().take(claim::NOTES_MAX).map(|note| text(note, 300)).collect(),
            ..completed
        }),
    }
}
