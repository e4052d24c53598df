//! As what an output is shown to a person.

/// As what an output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// On and off, whatever it takes.
    Switch,
    /// 0 to 100 %. An output that takes on and off only is a switch then.
    Number,
    /// A lamp, which can be dimmed if it takes levels.
    Light,
    /// A fan, with a speed if it takes levels.
    Fan,
}

impl Shown {
    /// As they are called in the file.
    pub const NAMES: [(&'static str, Self); 4] =
        [("switch", Self::Switch), ("number", Self::Number), ("light", Self::Light), ("fan", Self::Fan)];
}
