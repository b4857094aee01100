//! What metrics and splits are called in front of readers, and which way is better.

/// Which values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
}

/// "rmse" → "RMSE"; unknown names stay as they are.
pub(super) fn label(name: &str) -> &str {
    match name {
        "mse" => "MSE",
        "rmse" => "RMSE",
        "mae" => "MAE",
        "r2" => "R²",
        "pearson" => "Pearson r",
        "ccc" => "CCC",
        "uar" => "UAR",
        "macro-f1" => "macro F1",
        "weighted-f1" => "weighted F1",
        "f1" => "F1",
        "mean-rank" => "mean rank",
        "ndcg" => "NDCG",
        "va-mse" => "VA MSE",
        "va-rmse" => "VA RMSE",
        "va-mae" => "VA MAE",
        "va-r2" => "VA R²",
        "va-pearson" => "VA Pearson r",
        "va-ccc" => "VA CCC",
        other => other,
    }
}

/// The order in which readers meet metrics; unknown names come last.
pub(super) fn place(name: &str) -> usize {
    const ORDER: [&str; 25] = [
        "loss",
        "mse",
        "rmse",
        "mae",
        "r2",
        "pearson",
        "ccc",
        "accuracy",
        "uar",
        "macro-f1",
        "weighted-f1",
        "precision",
        "recall",
        "f1",
        "recall@1",
        "recall@5",
        "recall@10",
        "mean-rank",
        "ndcg",
        "va-mse",
        "va-rmse",
        "va-mae",
        "va-r2",
        "va-pearson",
        "va-ccc",
    ];
    ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
}

/// The order of baselines, the simplest first; unknown names come last.
pub(super) fn place_of_baseline(name: &str) -> usize {
    const ORDER: [&str; 6] = ["mean", "majority", "chance", "ridge", "logistic", "va-distance"];
    ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
}

/// "val" → "validation".
pub(super) fn split_word(split: &str) -> &str {
    match split {
        "train" => "training",
        "val" => "validation",
        "out-of-fold" => "pooled test",
        other => other,
    }
}

/// Errors and losses are better low, everything else high.
pub(super) fn better(name: &str) -> Better {
    let error = ["mse", "rmse", "mae", "loss", "error", "rank"];
    if error
        .iter()
        .any(|part| name.split(['/', '-', '_']).any(|word| word == *part))
    {
        Better::Lower
    } else {
        Better::Higher
    }
}

/// A figure as tables show it: three decimals, fewer for large values, powers of ten for tiny ones; "–" where there is none.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let text = if !value.is_finite() {
        return "–".to_owned();
    } else if magnitude >= 1e6 || (magnitude < 5e-4 && magnitude > 0.0) {
        format!("{value:.2e}")
    } else if magnitude >= 1000.0 {
        format!("{value:.0}")
    } else if magnitude >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    };
    with_minus(&text)
}

/// A formatted number with a real minus sign, and none before a zero.
pub(super) fn with_minus(text: &str) -> String {
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|character| character == '0' || character == '.') => digits.to_owned(),
        _ => text.replace('-', "−"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_matters() {
        assert_eq!(number(0.51249), "0.512");
        assert_eq!(number(-0.5), "−0.500");
        assert_eq!(number(-0.0), "0.000");
        assert_eq!(number(0.000_123_4), "1.23e−4");
        assert_eq!(number(123.456), "123.5");
        assert_eq!(number(12345.6), "12346");
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn errors_are_better_low() {
        for name in ["loss", "mse", "rmse", "mae", "mae/valence", "mean-rank", "va-rmse"] {
            assert_eq!(better(name), Better::Lower, "{name}");
        }
        for name in [
            "r2",
            "ccc",
            "pearson",
            "accuracy",
            "uar",
            "macro-f1",
            "recall@10",
            "ndcg",
            "va-ccc",
        ] {
            assert_eq!(better(name), Better::Higher, "{name}");
        }
    }
}
