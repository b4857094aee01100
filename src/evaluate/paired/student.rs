//! Means of a few values (repeats with other seeds), and how sure they are.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The share of the distribution below the upper end of a 95 % interval.
const UPPER: f64 = 0.975;

/// What several values of one figure come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub count: usize,
    pub mean: f64,
    /// The sample's standard deviation (n − 1); `None` for a single value.
    pub deviation: Option<f64>,
    /// Ends of the 95 % interval of the mean after Student, mean ± t · s/√n with n − 1 degrees of freedom; SciPy's
    /// `t.interval(0.95, n - 1, mean, sem)`. `None` for a single value.
    pub interval: Option<(f64, f64)>,
}

/// `None` where there are no values, or one is not finite.
pub fn spread(values: &[f64]) -> Option<Spread> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let count = values.len();
    let mean = values.iter().sum::<f64>() / count as f64;
    let deviation = (count > 1).then(|| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (count - 1) as f64).sqrt()
    });
    let interval = deviation.and_then(|deviation| {
        let half = quantile(count - 1, UPPER)? * deviation / (count as f64).sqrt();
        Some((mean - half, mean + half))
    });
    Some(Spread {
        count,
        mean,
        deviation,
        interval,
    })
}

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
    let t = effect * (spread.count as f64).sqrt();
    let distribution = StudentsT::new(0.0, 1.0, (spread.count - 1) as f64).ok()?;
    Some(TTest {
        t,
        // The lower tail keeps its digits where the upper one would be a difference from 1.
        p: (2.0 * distribution.cdf(-t.abs())).min(1.0),
        pairs: spread.count,
        effect,
    })
}

/// The value below which `share` of Student's distribution lies. statrs finds it to a few digits; two of Newton's steps on its
/// distribution function give the rest.
fn quantile(freedom: usize, share: f64) -> Option<f64> {
    use statrs::distribution::Continuous;
    let distribution = StudentsT::new(0.0, 1.0, freedom as f64).ok()?;
    let mut value = distribution.inverse_cdf(share);
    for _ in 0..2 {
        let slope = distribution.pdf(value);
        if slope > 0.0 {
            value -= (distribution.cdf(value) - share) / slope;
        }
    }
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_five_seeds() {
        let spread = spread(&[0.5, 0.52, 0.48, 0.55, 0.45]).unwrap();
        assert_eq!(spread.count, 5);
        assert!((spread.mean - 0.5).abs() < 1e-15);
        // s² = (0 + 4 + 4 + 25 + 25)·1e-4 / 4, and t(0.975, 4) = 2.776445 (any table).
        let deviation = 0.00145f64.sqrt();
        assert!((spread.deviation.unwrap() - deviation).abs() < 1e-15);
        let half = 2.776_445_105 * deviation / 5f64.sqrt();
        let (low, high) = spread.interval.unwrap();
        assert!((high - 0.5 - half).abs() < 1e-9 && (0.5 - low - half).abs() < 1e-9);
    }

    #[test]
    fn one_value_has_no_spread_and_none_no_mean() {
        let one = spread(&[0.5]).unwrap();
        assert_eq!((one.deviation, one.interval), (None, None));
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[0.5, f64::NAN]), None);
        assert_eq!(paired_t_test(&[0.5]), None);
        assert_eq!(paired_t_test(&[0.5, 0.5]), None);
    }
}
