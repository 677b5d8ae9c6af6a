//! The five queries over the auction site.

mod auctions;
mod closings;
mod q4;
mod q5;
mod q6;
mod q7;
mod q8;

pub use auctions::{AcceptedBid, accepted_bids};
pub use q4::{Q4Row, Q4Settings, q4};
pub use q5::{Q5Row, Q5Settings, q5};
pub use q6::{Q6Row, Q6Settings, q6};
pub use q7::{Q7Row, Q7Settings, q7};
pub use q8::{Q8Row, Q8Settings, q8};
