//! Is one model really better than another?
//!
//! Two models that predicted the same examples are compared pair by pair. What is drawn and ranked is groups (songs, speakers),
//! since examples of one group are alike. Nothing here depends on the number of threads.

pub mod difference;
pub mod holm;
pub mod student;
pub mod wilcoxon;

pub use difference::{Difference, Paired, compare};
pub use holm::holm;
pub use student::{TTest, paired_t_test};
pub use wilcoxon::{Method, Wilcoxon, wilcoxon};
