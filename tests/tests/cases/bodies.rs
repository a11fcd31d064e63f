//! Cases of this kind; see `main.rs`.
