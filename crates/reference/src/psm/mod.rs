//! The five queries over the price-comparison site.

mod per_click;
mod q1;
mod q2;
mod q3;
mod q4;
mod q5;

pub use q1::{Q1Row, Q1Settings, q1};
pub use q2::{Q2Row, Q2Settings, q2};
pub use q3::{Q3Row, Q3Settings, q3};
pub use q4::{Q4Row, Q4Settings, q4};
pub use q5::{Q5Row, Q5Settings, q5};
