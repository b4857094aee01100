//! Which tables there are, and what is in their columns. A run's settings stand in `params`, so the runs need no texts of whole
//! files.

/// What a column holds, where it holds anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A whole number.
    Whole,
    /// As above; beyond 2^63 it is stored as the negative number of the same bits.
    Seed,
    Real,
    /// A moment, stored as a text in UTC.
    Moment,
    /// A moment, stored as seconds since 1970.
    Seconds,
    /// A number, a text or a truth value.
    Setting,
}

pub(super) type Column = (&'static str, Kind);

/// A file, and where its rows come from.
pub(super) struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
    /// The column with the run's id.
    pub run: &'static str,
    order: &'static str,
}

impl Table {
    /// `condition`: SQL that says which rows.
    pub fn query(&self, condition: &str) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let (columns, table, order) = (columns.join(", "), self.name, self.order);
        format!("SELECT {columns} FROM {table} WHERE {condition} ORDER BY {order}")
    }
}

pub(super) const TABLES: [Table; 7] = [
    Table {
        name: "runs",
        columns: &[
            ("id", Kind::Text),
            ("experiment", Kind::Text),
            ("status", Kind::Text),
            ("seed", Kind::Seed),
            ("device", Kind::Text),
            ("created_at", Kind::Moment),
            ("started_at", Kind::Moment),
            ("finished_at", Kind::Moment),
            ("host", Kind::Text),
            ("git_commit", Kind::Text),
            ("config_hash", Kind::Text),
            ("data_fingerprint", Kind::Text),
            ("feature_key", Kind::Text),
            ("parent_id", Kind::Text),
            ("epoch", Kind::Whole),
            ("error", Kind::Text),
        ],
        run: "id",
        order: "created_at, id",
    },
    Table {
        name: "params",
        columns: &[("run_id", Kind::Text), ("key", Kind::Text), ("value", Kind::Setting)],
        run: "run_id",
        order: "run_id, key",
    },
    Table {
        name: "metrics",
        columns: &[
            ("run_id", Kind::Text),
            ("split", Kind::Text),
            ("name", Kind::Text),
            ("epoch", Kind::Whole),
            ("step", Kind::Whole),
            ("value", Kind::Real),
            ("wall_time", Kind::Seconds),
        ],
        run: "run_id",
        order: "run_id, split, name, step",
    },
    Table {
        name: "results",
        columns: &[
            ("run_id", Kind::Text),
            ("split", Kind::Text),
            ("name", Kind::Text),
            ("target", Kind::Text),
            ("value", Kind::Real),
            ("ci_low", Kind::Real),
            ("ci_high", Kind::Real),
        ],
        run: "run_id",
        order: "run_id, split, name, target",
    },
    Table {
        name: "baselines",
        columns: &[
            ("run_id", Kind::Text),
            ("split", Kind::Text),
            ("baseline", Kind::Text),
            ("name", Kind::Text),
            ("target", Kind::Text),
            ("value", Kind::Real),
        ],
        run: "run_id",
        order: "run_id, split, baseline, name, target",
    },
    Table {
        name: "tags",
        columns: &[("run_id", Kind::Text), ("tag", Kind::Text)],
        run: "run_id",
        order: "run_id, tag",
    },
    Table {
        name: "notes",
        columns: &[("run_id", Kind::Text), ("at", Kind::Moment), ("text", Kind::Text)],
        run: "run_id",
        order: "run_id, at",
    },
];
