//! Mistakes that the schedules must catch: each is made in a copy of the tree, and the schedules must fail there.
//!
//! ```text
//! cargo test --test mutants -- --ignored --nocapture
//! ```
//!
//! The copy is in `target/mutants/` and builds into `target/`, where all share the dependencies, so a mutant costs this crate and
//! one test binary. `HOMEOSTAT_MUTANT=lease` tries those only whose name has this in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a copy that cannot be made has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// So many schedules each; the first that fails ends it.
const SCHEDULES: &str = "40";

/// Seconds for a build and its schedules.
const DEADLINE: &str = "240";

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
const CONTROLLER: &str = "src/controllers/actor.rs";
const BANK: &str = "src/hardware/bank.rs";
const DAEMON: &str = "src/daemon.rs";

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a lease never ends",
        file: DEMANDS,
        text: "let entry = Entry { owner, priority, level, until, because };",
        mistake: "let until = until + std::time::Duration::from_secs(36_000);\n        let entry = Entry { owner, priority, level, until, because };",
    },
    Mutant {
        name: "a lease ends five seconds late",
        file: DEMANDS,
        text: "let entry = Entry { owner, priority, level, until, because };",
        mistake: "let until = until + std::time::Duration::from_secs(5);\n        let entry = Entry { owner, priority, level, until, because };",
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
        text: "let may_turn_on = now >= self.since + self.limits.min_off;",
        mistake: "let may_turn_on = true;",
    },
    Mutant {
        name: "min_on is forgotten",
        file: GUARD,
        text: "winner.is_some_and(|winner| winner.priority != Priority::Safety) && now < self.since + self.limits.min_on;",
        mistake: "false;",
    },
    Mutant {
        name: "max_on is forgotten",
        file: GUARD,
        text: "(Some(_), Some(since), Some(max_on)) => Some(since + max_on),",
        mistake: "",
    },
    Mutant {
        name: "min_on holds against safety",
        file: GUARD,
        text: "winner.priority != Priority::Safety) &&",
        mistake: "winner.priority <= Priority::Safety) &&",
    },
    Mutant {
        name: "off times count from the decision, also if the pin did not obey",
        file: GUARD,
        text: "self.since = now.max(self.now);\n    }\n\n    /// What the line must be at now.",
        mistake: "let _ = now;\n        self.unsure = false;\n    }\n\n    /// What the line must be at now.",
    },
    Mutant {
        name: "a stop leaves outputs as they are",
        file: GUARD,
        text: "self.stopped = true;\n        self.demands = Demands::default();",
        mistake: "",
    },
    Mutant {
        name: "the bank does not release what nobody holds",
        file: BANK,
        text: "state.confirmed != Some(slot.safe) && state.until < now",
        mistake: "state.confirmed != Some(slot.safe) && state.until < now && false",
    },
    Mutant {
        name: "the bank holds for a minute",
        file: OUTPUT,
        text: "const GRACE: Duration = Duration::from_secs(2);",
        mistake: "const GRACE: Duration = Duration::from_secs(60);",
    },
    Mutant {
        name: "a pin is opened at its safe level with each life of its actor",
        file: BANK,
        text: "if locked(&self.state).taken {\n            return Ok(());\n        }",
        mistake: "",
    },
    Mutant {
        name: "the guard's memory goes with its actor",
        file: DAEMON,
        text: "let body = actor(move |lifeline| Output::new(id.clone(), with.clone(), lifeline));",
        mistake: "let clock = host.clock;\n    let body = actor(move |lifeline| {\n        let limits = crate::panics::locked(&with.guard).limits.clone();\n        let guard = Arc::new(Mutex::new(Guard::new(limits, clock.now())));\n        Output::new(id.clone(), outputs::actor::Surroundings { guard, ..with.clone() }, lifeline)\n    });",
    },
    Mutant {
        name: "a failed off is taken for done",
        file: OUTPUT,
        text: "if !std::mem::replace(&mut self.failed, true) {",
        mistake: "if !self.failed {",
    },
    Mutant {
        name: "a failed write is not tried again",
        file: OUTPUT,
        text: "                self.step_after(RETRY, ctx);\n",
        mistake: "",
    },
    Mutant {
        name: "a stale reading is acted on",
        file: CONTROLLER,
        text: "let until = reading.at + self.config.stale_after;",
        mistake: "let until = self.with.clock.now() + self.config.stale_after * 2;",
    },
    Mutant {
        name: "a controller's lease has no end",
        file: CONTROLLER,
        text: "let until = reading.at + self.config.stale_after;",
        mistake: "let until = reading.at + std::time::Duration::from_secs(360_000);",
    },
    Mutant {
        name: "a sensor that failed stays away",
        file: "src/supervisor/mod.rs",
        text: "            if !root.stopping {\n                root.begin(index, ctx);\n            }\n",
        mistake: "            if !root.stopping && !matches!(root.wards[index].child.role, Role::Sensor(_)) {\n                root.begin(index, ctx);\n            }\n",
    },
    Mutant {
        name: "a hang in one lane is waited for in all",
        file: "src/hardware/lane.rs",
        text: "lanes.entry(name.to_owned())",
        mistake: "lanes.entry(name.get(..0).unwrap_or_default().to_owned())",
    },
    Mutant {
        name: "numbers of readings begin anew with each start",
        file: DAEMON,
        text: "let bus = Bus::new(host.clock, last_seq);",
        mistake: "let _ = last_seq;\n        let bus = Bus::new(host.clock, 0);",
    },
];

#[test]
#[ignore = "needs a build of its own for each mutant"]
fn every_mutant_is_caught_by_the_schedules_and_the_tree_as_it_is_passes() {
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let copy = project.join("target/mutants/tree");
    let _ = fs::remove_dir_all(&copy);
    for name in ["src", "tests", "benches", "Cargo.toml", "Cargo.lock", "README.md", "config.example.toml"] {
        copy_all(&project.join(name), &copy.join(name));
    }
    let only = std::env::var("HOMEOSTAT_MUTANT").unwrap_or_default();
    if only.is_empty() {
        let (passes, told) = schedules(&copy);
        assert!(passes, "without a mutant the schedules fail:\n{told}");
    }
    let mut survivors = Vec::new();
    for mutant in MUTANTS.iter().filter(|mutant| mutant.name.contains(&only)) {
        let file = copy.join(mutant.file);
        let whole = fs::read_to_string(&file).unwrap();
        let found = whole.matches(mutant.text).count();
        assert_eq!(found, 1, "{}: its text stands {found} times in {}; adapt it", mutant.name, mutant.file);
        fs::write(&file, whole.replace(mutant.text, mutant.mistake)).unwrap();
        let (passes, told) = schedules(&copy);
        fs::write(&file, whole).unwrap();
        let caught = told.lines().find_map(|line| line.split_once("breaks an invariant: ")).map(|(_, name)| name);
        match (passes, caught) {
            (false, Some(invariant)) => println!("{}: caught: {invariant}", mutant.name),
            (false, None) => panic!("{}: neither caught nor passed:\n{told}", mutant.name),
            (true, _) => {
                println!("{}: NOT caught", mutant.name);
                survivors.push(mutant.name);
            }
        }
    }
    assert!(survivors.is_empty(), "not caught: {survivors:#?}");
}

/// Whether the schedules pass in this tree, and all they say.
fn schedules(tree: &Path) -> (bool, String) {
    // A mutant may go on in virtual time without an end.
    let output = Command::new("timeout")
        .args(["-k", "5", DEADLINE, env!("CARGO"), "test", "--quiet", "--locked", "--test", "schedules", "whatever"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.ancestors().nth(2).unwrap())
        // Nothing is learnt from making it small.
        .env("HOMEOSTAT_SHRINK", "no")
        .env("HOMEOSTAT_SCHEDULES", SCHEDULES)
        .output()
        .unwrap();
    if output.status.code() == Some(124) {
        return (false, "breaks an invariant: it comes to an end".to_owned());
    }
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), told)
}

/// Copies a file or a folder. Files that are the same are left alone, so that cargo sees what has changed only.
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
