//! Wilcoxon's signed-rank test: are differences as often, and as far, above 0 as below?

use statrs::function::erf::erfc;

/// How the p-value came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Over all ways to give the ranks signs; ties have their mean ranks.
    Exact,
    /// By the normal approximation, with the correction of the variance for ties and none for continuity.
    Normal,
}

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wilcoxon {
    /// The sum of the ranks of the positive differences.
    pub positive: f64,
    /// The sum of the ranks of the negative ones.
    pub negative: f64,
    /// Two-sided.
    pub p: f64,
    pub method: Method,
    /// Differences that are not 0: those count.
    pub pairs: usize,
    /// The matched-pairs rank-biserial correlation, (positive − negative) / (positive + negative), from −1 to 1 (Kerby 2014,
    /// "The simple difference formula", Comprehensive Psychology 3).
    pub effect: f64,
}

/// Up to this many pairs the test is exact, as SciPy's.
const LARGEST_EXACT: usize = 50;

/// The test on paired differences (Wilcoxon 1945, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 80–83).
/// Zeros are left out; SciPy's `wilcoxon(zero_method="wilcox")`. `None` where no difference is left, or one is NaN.
pub fn wilcoxon(differences: &[f64]) -> Option<Wilcoxon> {
    let pairs = differences.iter().filter(|difference| **difference != 0.0).count();
    wilcoxon_by(
        differences,
        if pairs <= LARGEST_EXACT {
            Method::Exact
        } else {
            Method::Normal
        },
    )
}

/// As [`wilcoxon`], by a method of the caller's choice. The exact one takes time and memory with the cube of the number.
pub fn wilcoxon_by(differences: &[f64], method: Method) -> Option<Wilcoxon> {
    if differences.iter().any(|difference| difference.is_nan()) {
        return None;
    }
    let mut ordered: Vec<f64> = differences
        .iter()
        .copied()
        .filter(|difference| *difference != 0.0)
        .collect();
    ordered.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    if ordered.is_empty() {
        return None;
    }
    let ranked = rank(&ordered);
    // Ranks are doubled, so that the means of ties are whole.
    let of = |is_positive: bool| -> usize {
        let signs = ranked.doubled.iter().zip(&ordered);
        signs
            .filter(|(_, difference)| (**difference > 0.0) == is_positive)
            .map(|(rank, _)| rank)
            .sum()
    };
    let (positive, negative) = (of(true), of(false));
    let p = match method {
        Method::Exact => exact(&ranked.doubled, positive.min(negative)),
        Method::Normal => normal(ordered.len(), ranked.ties, positive as f64 / 2.0),
    };
    let (positive, negative) = (positive as f64 / 2.0, negative as f64 / 2.0);
    Some(Wilcoxon {
        positive,
        negative,
        p,
        method,
        pairs: ordered.len(),
        effect: (positive - negative) / (positive + negative),
    })
}

struct Ranked {
    /// Twice the rank of each value.
    doubled: Vec<usize>,
    /// Σ(t³ − t) over the sizes of the ties.
    ties: f64,
}

/// Ranks of values that are sorted by size, from 1.
fn rank(ordered: &[f64]) -> Ranked {
    let mut doubled = Vec::with_capacity(ordered.len());
    let mut ties = 0.0;
    for tie in ordered.chunk_by(|a, b| a.abs() == b.abs()) {
        let before = doubled.len();
        // Twice the mean of before + 1 … before + n.
        doubled.extend(std::iter::repeat_n(2 * before + tie.len() + 1, tie.len()));
        ties += (tie.len() as f64).powi(3) - tie.len() as f64;
    }
    Ranked { doubled, ties }
}

/// The share of the 2ⁿ ways to give signs whose smaller sum is at most `smaller`, counted by the sum that they reach.
fn exact(doubled: &[usize], smaller: usize) -> f64 {
    let total: usize = doubled.iter().sum();
    let mut shares = vec![0.0f64; total + 1];
    if let Some(none) = shares.first_mut() {
        *none = 1.0;
    }
    let mut reached = 0;
    for &rank in doubled {
        reached += rank;
        for sum in (0..=reached).rev() {
            let without = shares.get(sum).copied().unwrap_or_default();
            let with = sum
                .checked_sub(rank)
                .and_then(|rest| shares.get(rest))
                .copied()
                .unwrap_or_default();
            if let Some(share) = shares.get_mut(sum) {
                *share = (without + with) / 2.0;
            }
        }
    }
    let tail: f64 = shares.iter().take(smaller + 1).sum();
    (2.0 * tail).min(1.0)
}

/// Of n ranks the sum of the positive ones has the mean n(n + 1)/4 and the variance n(n + 1)(2n + 1)/24 − Σ(t³ − t)/48.
fn normal(pairs: usize, ties: f64, positive: f64) -> f64 {
    let n = pairs as f64;
    let mean = n * (n + 1.0) / 4.0;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    let z = (positive - mean) / variance.sqrt();
    // Two-sided: twice the upper tail.
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_five() {
        // Of 32 ways to give signs, two are as far from the middle.
        let all = wilcoxon(&[0.1, 0.2, 0.3, 0.4, 0.5]).unwrap();
        assert_eq!((all.positive, all.negative, all.effect), (15.0, 0.0, 1.0));
        assert_eq!((all.p, all.method), (2.0 / 32.0, Method::Exact));
        let none = wilcoxon(&[-0.1, -0.2, -0.3, -0.4, -0.5]).unwrap();
        assert_eq!((none.p, none.effect), (all.p, -1.0));
    }

    #[test]
    fn ties_share_their_ranks_and_zeros_do_not_count() {
        let test = wilcoxon(&[1.0, 0.0, -1.0, 2.0, -0.0]).unwrap();
        assert_eq!((test.positive, test.negative, test.pairs), (4.5, 1.5, 3));
        // Sums of the positive ranks 1.5, 1.5, 3: 0, 1.5 twice, 3, 3, 4.5 twice, 6. Smaller sum at most 1.5: six of eight.
        assert_eq!(test.p, 0.75);
    }

    #[test]
    fn balanced_differences_are_no_evidence() {
        assert_eq!(wilcoxon(&[1.0, -1.0]).unwrap().p, 1.0);
        assert_eq!(wilcoxon(&[0.0, 0.0]), None);
        assert_eq!(wilcoxon(&[]), None);
        assert_eq!(wilcoxon(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn many_pairs_are_approximated_and_agree_with_the_exact_test() {
        let differences: Vec<f64> = (1..=80)
            .map(|i| f64::from(i) * if i % 3 == 0 { -1.0 } else { 1.0 })
            .collect();
        let approximated = wilcoxon(&differences).unwrap();
        assert_eq!(approximated.method, Method::Normal);
        let exact = wilcoxon_by(&differences, Method::Exact).unwrap();
        assert!(
            (approximated.p - exact.p).abs() < 2e-3,
            "{} {}",
            approximated.p,
            exact.p
        );
    }
}
