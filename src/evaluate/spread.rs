//! How much a figure differs between runs of one experiment.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The figures of several runs, in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub mean: f64,
    /// The sample's standard deviation, with n − 1 below; `None` for a single figure.
    pub deviation: Option<f64>,
    /// Ends of the 95 % confidence interval of the mean by Student's t, mean ± t(0.975, n − 1) · deviation / √n; `None` for a
    /// single figure.
    pub ci: Option<(f64, f64)>,
    pub n: usize,
}

/// `None` where there is no figure, or one that is not finite.
///
/// The interval takes the figures as independent. Those of several seeds are. Those of folds are not quite, because folds share
/// training examples: no unbiased estimate of their variance exists (Bengio & Grandvalet 2004), and the interval comes out somewhat
/// too narrow.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let n = values.len();
    if n == 0 || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let deviation = (n > 1).then(|| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (n - 1) as f64).sqrt()
    });
    let ci = deviation.and_then(|deviation| {
        let t = StudentsT::new(0.0, 1.0, (n - 1) as f64).ok()?.inverse_cdf(0.975);
        let half = t * deviation / (n as f64).sqrt();
        Some((mean - half, mean + half))
    });
    Some(Spread { mean, deviation, ci, n })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.t.interval(0.95, 4, loc = mean, scale = scipy.stats.sem(values)) and numpy.std(values, ddof = 1).
    #[test]
    fn five_figures_agree_with_scipy() {
        let spread = spread(&[0.61, 0.58, 0.66, 0.6, 0.63]).unwrap();
        assert!((spread.mean - 0.616).abs() < 1e-12);
        assert!((spread.deviation.unwrap() - 0.030_495_901_363_953_81).abs() < 1e-12);
        let (low, high) = spread.ci.unwrap();
        assert!((low - 0.578_134_337_183_605_4).abs() < 1e-9, "{low}");
        assert!((high - 0.653_865_662_816_394_6).abs() < 1e-9, "{high}");
    }

    #[test]
    fn one_figure_has_no_spread_and_none_has_nothing() {
        let one = spread(&[0.5]).unwrap();
        assert_eq!((one.mean, one.deviation, one.ci, one.n), (0.5, None, None, 1));
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[0.5, f64::NAN]), None);
    }
}
