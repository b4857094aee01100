//! Student's test on the differences of a few pairs (repeats with the same seeds).

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::evaluate::spread;

/// A test whether the mean of paired differences is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TTest {
    pub t: f64,
    /// Two-sided.
    pub p: f64,
    pub pairs: usize,
    /// Cohen's d of paired samples, the mean difference in units of the differences' standard deviation (Cohen 1988, section
    /// 2.3.5, d_z).
    pub effect: f64,
}

/// SciPy's `ttest_rel`, given the differences. `None` where there are fewer than two, one is not finite, or all are equal.
pub fn paired_t_test(differences: &[f64]) -> Option<TTest> {
    let spread = spread(differences)?;
    let deviation = spread.deviation.filter(|deviation| *deviation > 0.0)?;
    let effect = spread.mean / deviation;
    let t = effect * (spread.n as f64).sqrt();
    let distribution = StudentsT::new(0.0, 1.0, (spread.n - 1) as f64).ok()?;
    Some(TTest {
        t,
        // The lower tail keeps its digits where the upper one would be a difference from 1.
        p: (2.0 * distribution.cdf(-t.abs())).min(1.0),
        pairs: spread.n,
        effect,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_difference_and_equal_ones_say_nothing() {
        assert_eq!(paired_t_test(&[0.5]), None);
        assert_eq!(paired_t_test(&[0.5, 0.5]), None);
    }
}
