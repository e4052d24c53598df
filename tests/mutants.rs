//! Mistakes that the schedules must catch: each is made in a copy of the tree, and the schedules must fail there.
//!
//! ```text
//! cargo test --test mutants -- --ignored --nocapture
//! ```
//!
//! The copy is in `target/mutants/` and builds into `target/`, where all share the dependencies, and step by step, so a mutant costs
//! five seconds of one core, and its schedules until the first that fails. `HOMEOSTAT_MUTANT=lease,starts` tries those only whose
//! name has one of these in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a copy that cannot be made has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// So many schedules each; the first that fails ends it.
const SCHEDULES: &str = "60";

/// Seconds for the schedules of one.
const DEADLINE: &str = "180";

/// A text that stands in a file once, and what a mistaken hand would have written.
struct Mutant {
    name: &'static str,
    file: &'static str,
    text: &'static str,
    mistake: &'static str,
}

const GUARD: &str = "src/outputs/guard/mod.rs";
const DEMANDS: &str = "src/outputs/guard/demands.rs";
const OUTPUT: &str = "src/outputs/actor.rs";
const BANK: &str = "src/hardware/bank/mod.rs";
const TABLE: &str = "src/hardware/bank/table.rs";
const BUDGET: &str = "src/outputs/guard/budget.rs";
const LEDGER: &str = "src/outputs/ledger.rs";

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a lease ends five seconds late",
        file: DEMANDS,
        text: "let entry = Entry { owner, priority, level, safe: wish == Wish::Safe, until, because };",
        mistake: "let until = until + std::time::Duration::from_secs(5);\n        let entry = Entry { owner, priority, level, safe: wish == Wish::Safe, until, because };",
    },
    Mutant {
        name: "priorities are upside down",
        file: DEMANDS,
        text: "self.0.iter().max_by_key(|entry| entry.priority)",
        mistake: "self.0.iter().min_by_key(|entry| entry.priority)",
    },
    Mutant {
        name: "min_off is forgotten",
        file: GUARD,
        text: "let min_off_ends = self.since + self.limits.min_off.saturating_sub(self.off_before);",
        mistake: "let min_off_ends = self.since;",
    },
    Mutant {
        name: "min_on is forgotten",
        file: GUARD,
        text: "winner.is_some_and(|winner| winner.priority != Priority::Safety) && now < self.since + self.limits.min_on;",
        mistake: "false;",
    },
    Mutant {
        name: "max_on counts anew with every look of the guard",
        file: GUARD,
        text: "driven.then(|| self.driven_since.unwrap_or(now));",
        mistake: "driven.then_some(now);",
    },
    // That a stop tells no guard is no mistake the schedules can see: the seal of the bank does it all. So it is the seal that fails.
    Mutant {
        name: "a stop trusts that the actor of every output is there",
        file: BANK,
        text: "if slot.level() == Some(slot.safe) {",
        mistake: "if true {",
    },
    Mutant {
        name: "the bank does not release what nobody holds",
        file: TABLE,
        text: "if wanted != safe && entry.until < now {",
        mistake: "if wanted != safe && entry.until < now && false {",
    },
    Mutant {
        name: "the bank holds for a minute",
        file: OUTPUT,
        text: "const GRACE: Duration = Duration::from_secs(2);",
        mistake: "const GRACE: Duration = Duration::from_secs(60);",
    },
    Mutant {
        name: "the guard's memory goes with a restart",
        file: LEDGER,
        text: "let guard = Guard::restored(limits, memory.as_ref(), aged, now);",
        mistake: "let _ = aged;\n        let guard = Guard::new(limits, now);",
    },
    Mutant {
        name: "a budget is counted at half",
        file: BUDGET,
        text: "self.budget.on.saturating_sub(Duration::from_nanos(self.tally.sum()))",
        mistake: "self.budget.on.saturating_sub(Duration::from_nanos(self.tally.sum() / 2))",
    },
    Mutant {
        name: "what limits remember is not written",
        file: LEDGER,
        text: "move || files::replace(&path, &bytes)).await;",
        mistake: "move || {\n            let _ = (&path, &bytes);\n            Ok::<(), io::Error>(())\n        })\n        .await;",
    },
    Mutant {
        name: "the bank knows no interlocks, and so neither does a guard",
        file: TABLE,
        text: "self.interlocks.insert(output.clone(), Interlocks { only_while, never_with });",
        mistake: "let _ = (output, only_while, never_with);",
    },
];

/// Seen at once, and not only when they are played.
#[test]
fn the_text_of_every_mutant_stands_in_its_file_once() {
    for Mutant { name, file, text, mistake } in MUTANTS {
        let whole = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let found = whole.matches(text).count();
        assert_eq!(found, 1, "{name}: its text stands {found} times in {file}; adapt it");
        assert_ne!(text, mistake, "{name}");
    }
}

#[test]
#[ignore = "needs a build of its own for each mutant"]
fn every_mutant_is_caught_by_the_schedules_and_the_tree_as_it_is_passes() {
    let copy = Copy::new();
    let only = std::env::var("HOMEOSTAT_MUTANT").unwrap_or_default();
    if only.is_empty() {
        let played = copy.play();
        assert_eq!(played, Played::Passes, "without a mutant the schedules do not pass");
    }
    let mut survivors = Vec::new();
    let asked = |mutant: &&Mutant| only.split(',').any(|part| mutant.name.contains(part));
    for mutant in MUTANTS.iter().filter(asked) {
        match copy.with(mutant, Copy::play) {
            Played::Breaks(invariant) => println!("{}: caught: {invariant}", mutant.name),
            played => {
                println!("{}: NOT caught: {played:?}", mutant.name);
                survivors.push(mutant.name);
            }
        }
    }
    assert!(survivors.is_empty(), "not caught: {survivors:#?}");
}

/// What the schedules came to.
#[derive(Debug, PartialEq)]
enum Played {
    Passes,
    /// An invariant, by its name.
    Breaks(String),
    /// They came to no judgement, and said this.
    Fails(String),
}

/// A copy of the tree.
struct Copy {
    tree: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let tree = project.join("target/mutants/tree");
        let _ = fs::remove_dir_all(&tree);
        for name in
            [".cargo", "src", "tests", "benches", "Cargo.toml", "Cargo.lock", "README.md", "config.example.toml"]
        {
            copy_all(&project.join(name), &tree.join(name));
        }
        // The schedules need the library only.
        fs::remove_file(tree.join("src/main.rs")).unwrap();
        Self { tree }
    }

    /// Does something while the tree has a mistake in it.
    fn with<T>(&self, mutant: &Mutant, then: impl FnOnce(&Self) -> T) -> T {
        let file = self.tree.join(mutant.file);
        let whole = fs::read_to_string(&file).unwrap();
        fs::write(&file, whole.replace(mutant.text, mutant.mistake)).unwrap();
        let done = then(self);
        fs::write(&file, whole).unwrap();
        done
    }

    fn play(&self) -> Played {
        // A mutant may go on in virtual time without an end.
        let output = Command::new("timeout")
            .args(["-k", "5", DEADLINE])
            .arg(self.build())
            .arg("whatever")
            .current_dir(&self.tree)
            // Nothing is learnt from making it small.
            .env("HOMEOSTAT_SHRINK", "no")
            .env("HOMEOSTAT_SCHEDULES", SCHEDULES)
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let broken = told.lines().find_map(|line| line.split_once("breaks an invariant: ")).map(|(_, name)| name);
        match (output.status.code(), broken) {
            (Some(0), _) => Played::Passes,
            (_, Some(invariant)) => Played::Breaks(invariant.to_owned()),
            (Some(124), None) => Played::Fails(format!("they have not ended in {DEADLINE} s")),
            (_, None) => Played::Fails(told),
        }
    }

    /// The test binary of the schedules.
    fn build(&self) -> PathBuf {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--quiet", "--locked", "--test", "schedules", "--no-run"])
            .args(["--config", "profile.dev.package.homeostat.debug=false"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", self.tree.ancestors().nth(2).unwrap())
            // One line in one file is another each time.
            .env("CARGO_INCREMENTAL", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "it does not build:\n{}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        let built = told.lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            Some(PathBuf::from(line.get("executable")?.as_str()?))
        });
        // It leaves what it measures three folders above, where nobody looks for what a mutant does.
        let away = self.tree.join("../debug/deps/schedules");
        fs::create_dir_all(away.parent().unwrap()).unwrap();
        fs::copy(built.expect("cargo tells of what it builds"), &away).unwrap();
        away
    }
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy_all(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
