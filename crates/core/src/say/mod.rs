//! Every word that people get to read. Reading this folder is reading the product.

pub mod answers;
pub mod failures;
pub mod mails;
pub mod states;
