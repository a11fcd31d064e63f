//! Carrying a plan out: one effect after the other.

use super::Outcome;
use crate::decide::Plan;
use crate::effect::{Effect, Execute, Expect};
use crate::fault::{Call, Fault, Kind};
use crate::key::RequestFileKey;
use crate::request::ETag;
use crate::settings::Right;

pub struct Stop {
    pub fault: Fault,
    /// Which effect was not done.
    pub nth: usize,
    /// The right that the effect needs.
    pub right: Option<Right>,
}

/// Carries a plan out, until an effect fails. `withheld`: uploads that S3 does not give out.
pub async fn execute<W: Execute>(
    world: &W,
    plan: &Plan,
    withheld: &[RequestFileKey],
    outcome: &mut Outcome,
    is_stale: impl Fn() -> bool,
) -> Result<(), Stop> {
    let (mut my_ledger, mut my_status) = (None, None);
    for (nth, effect) in plan.effects.iter().enumerate() {
        let stop = |fault| Stop { fault, nth, right: effect.right() };
        if is_stale() {
            send_claimed(world, &plan.effects[nth..], my_ledger.as_ref(), outcome).await;
            return Err(stop(Fault::new(Kind::Conflict, Call::Pass, "what was seen is too old to act on")));
        }
        let done = match effect {
            Effect::WriteLedger { user, ledger, expect: Expect::OwnWrite } => {
                let expect = Expect::seen(my_ledger.as_ref());
                world.execute(&Effect::WriteLedger { user: user.clone(), ledger: ledger.clone(), expect }).await
            }
            Effect::WriteStatus { key, status, expect: Expect::OwnWrite } => {
                let expect = Expect::seen(my_status.as_ref());
                world.execute(&Effect::WriteStatus { key: key.clone(), status: status.clone(), expect }).await
            }
            effect => world.execute(effect).await,
        };
        match (effect, done) {
            (Effect::WriteLedger { .. }, Ok(etag)) => my_ledger = etag,
            (Effect::WriteStatus { .. }, Ok(etag)) => my_status = etag,
            (Effect::SendMail(mail), Err(fault)) => outcome.mails_lost.push(format!("{}: {fault}", mail.subject())),
            (_, Ok(_)) => {}
            // Refused for good, because the condition of the removal reads it: it has its answer, and stays.
            (Effect::RemoveUpload { key, .. }, Err(fault)) if fault.kind == Kind::Rejected && withheld.contains(key) => {}
            (_, Err(fault)) => {
                send_claimed(world, &plan.effects[nth..], my_ledger.as_ref(), outcome).await;
                return Err(stop(fault));
            }
        }
    }
    Ok(())
}

/// Once the ledger says that this plan's mails are sent, no other pass sends them: a plan that is broken off must not lose them.
async fn send_claimed<W: Execute>(world: &W, rest: &[Effect], claim: Option<&ETag>, outcome: &mut Outcome) {
    for effect in rest.iter().filter(|_| claim.is_some()) {
        if let Effect::SendMail(mail) = effect
            && let Err(fault) = world.execute(effect).await
        {
            outcome.mails_lost.push(format!("{}: {fault}", mail.subject()));
        }
    }
}
