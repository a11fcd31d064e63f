//! Everything that comes from outside, as fuzz targets: keys, bodies, events, templates, ledgers, names, reports of nodes.
//!
//! A target is a law over any bytes. `cargo test` runs it on what fuzzing has found before (`__fuzz__/`) and on a fixed number of
//! made-up inputs, the same in each run; `INPUTS=10000000` makes more of them. Guided by coverage, for as long as one likes, on
//! stable Rust:
//!
//! ```text
//! cargo install cargo-bolero
//! cargo bolero test --package cf-fuzz --sanitizer NONE -T 10min keys::any_text
//! ```
//!
//! What fails stays in `__fuzz__/<target>/crashes`, to be committed: every later `cargo test` tries it again. What it has learnt on its
//! way (`corpus`) stays on the machine.

#[cfg(test)]
mod bodies;
#[cfg(test)]
#[path = "../../core/card.rs"]
mod card;
#[cfg(test)]
mod drive;
// By its path, and not by cf-aws: the SDK under a fuzzer would take ten minutes to build, for nothing that is fuzzed.
#[cfg(test)]
#[path = "../../aws/src/event.rs"]
mod event;
#[cfg(test)]
mod events;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod ledgers;
#[cfg(test)]
mod names;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod templates;
