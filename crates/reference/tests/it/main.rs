//! Integration tests of the reference queries, in one binary.

mod nexmark_bids;
mod nexmark_closings;
mod psm;
