//! The program `cf-node`: its command line, and nothing else.

fn main() {}
