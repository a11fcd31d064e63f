//! Files that are no requests, by their keys alone.

use crate::effect::{Effect, Execute, Expect};
use crate::fault::{Fault, Kind};
use crate::key::{self, Reading};
use crate::message::Message;
use crate::observe;
use crate::observe::Observe;

/// An upload whose key cannot be a request: answered beside it, and removed. False where it is not there.
pub async fn answer_invalid_key<W: Observe + Execute>(world: &W, key: &str) -> Result<bool, Fault> {
    let Reading::Refused { file, answer, problem } = key::read(key) else { return Ok(true) };
    let Some(object) = observe::listed(world, key).await? else { return Ok(false) };
    let standing = observe::listed(world, &answer).await?;
    let expect = Expect::seen(standing.as_ref().map(|o| &o.etag));
    world.execute(&Effect::WriteAnswer { key: answer, message: Message::WrongKey(problem), expect }).await?;
    match world.execute(&Effect::RemoveUpload { key: file, etag: object.etag }).await {
        // It has its answer, and S3 does not let it be removed.
        Err(fault) if fault.kind != Kind::Rejected => Err(fault),
        Ok(_) | Err(_) => Ok(true),
    }
}

/// A file whose name looks like a request's: answered beside it, once, and left where it is. One write and no read: the
/// functions have no right to such files, and the text follows from the key, so an answer that is there already says the same.
pub async fn answer_look_alike<W: Execute>(world: &W, key: &str) -> Result<(), Fault> {
    let Reading::LooksLike { answer, problem } = key::read(key) else { return Ok(()) };
    let effect = Effect::WriteAnswer { key: answer, message: Message::LookAlike(problem), expect: Expect::Absent };
    match world.execute(&effect).await {
        Err(fault) if fault.kind != Kind::Conflict => Err(fault),
        Ok(_) | Err(_) => Ok(()),
    }
}
