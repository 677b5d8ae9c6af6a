//! Integration tests of the reference queries, in one program.

mod nexmark_bids;
mod nexmark_closings;
mod psm;
