//! The program as a shell sees it: what it prints, where, and how it exits.

#![allow(clippy::unwrap_used, reason = "a program that cannot be run fails the test")]

use std::process::{Command, Output};

fn homeostat(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_homeostat")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn check_is_silent_when_all_is_well() {
    let output = homeostat(&["check", concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")]);
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(0), String::new(), String::new())
    );
}

#[test]
fn check_prints_the_mistakes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    std::fs::write(&file, "[node]\nname = \"a\"\n").unwrap();
    let file = file.to_str().unwrap();

    let output = homeostat(&["check", file]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), String::new()));
    assert!(text(&output.stdout).starts_with("error: [node] needs `hardware`\n"), "{output:?}");

    let output = homeostat(&["check", file, "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let mistake: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&mistake["file"], &mistake["line"]), (&file.into(), &1.into()));

    let output = homeostat(&["run", file]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    assert!(text(&output.stderr).starts_with("error: [node] needs `hardware`\n"), "{output:?}");
}

#[test]
fn check_warns_people_beside_and_editors_within_what_it_prints() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("doubtful.toml");
    let house = "[node]\nname = \"a\"\nhardware = \"simulated\"\n[outputs.lamp]\ndriver = \"gpio\"\npin = 18\n\
                 [outputs.fan]\ndriver = \"pwm\"\nchannel = 0\n";
    std::fs::write(&file, house).unwrap();
    let file = file.to_str().unwrap();

    let output = homeostat(&["check", file]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()));
    let warning = text(&output.stderr);

    let output = homeostat(&["check", file, "--format", "json"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["severity"], &json["file"]), (&"warning".into(), &file.into()));
    let (message, hint) = (json["message"].as_str().unwrap(), json["hint"].as_str().unwrap());
    assert_eq!(warning, format!("warning: {message}: {hint}\n"));
    assert!(message.starts_with("fan has PWM channel 0") && hint.starts_with("write `pin = 12`"), "{json}");
}

#[test]
fn a_missing_file_is_a_wrong_configuration() {
    let output = homeostat(&["check", "/nowhere/greenhouse.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "error: cannot read /nowhere/greenhouse.toml: No such file or directory; give the path of a configuration file\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn usage_has_its_own_exit_code() {
    assert_eq!(homeostat(&["chekc"]).status.code(), Some(2));
    assert_eq!(homeostat(&[]).status.code(), Some(2));
    let version = homeostat(&["--version"]);
    assert_eq!(
        (version.status.code(), text(&version.stdout)),
        (Some(0), format!("homeostat {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn what_may_be_a_password_is_never_printed() {
    let house = "[node]\nname = \"a\"\nhardware = \"simulated\"\n";
    let broker = "[mqtt]\nbroker = \"mqtt://pi\"\nusername = \"me\"\n";
    let wrong = [
        ("a password does not belong in the file", format!("{broker}password = \"hunter2\"\n")),
        ("write \"…\"", format!("{broker}password = hunter2\n")),
        ("this text is never closed", format!("{broker}password = \"hunter2\n")),
        ("did you mean `password", format!("{broker}passwort = 'hunter2'\n")),
        ("not the secret", format!("{broker}password_env = \"hunter2!\"\n")),
        ("unknown key `brokr`", "mqtt = { broker = \"mqtt://pi\", brokr = 1, password = \"hunter2\" }\n".into()),
        ("a password does not belong here", "[mqtt]\nbroker = \"mqtt://me:hunter2@pi\"\n".into()),
        ("is not an address on the web", "[alarms]\nwebhook = \"hooks.example.org/hunter2\"\n".into()),
    ];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    for (expected, rest) in wrong {
        // An inline table comes before the first section.
        let text = if rest.starts_with("mqtt =") { rest + house } else { house.to_owned() + &rest };
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        for arguments in [&["check", file][..], &["check", file, "--format", "json"], &["run", file]] {
            let output = homeostat(arguments);
            let printed = text_of(&output);
            assert_eq!(output.status.code(), Some(1));
            assert!(printed.replace("\\\"", "\"").contains(expected), "{expected}: {printed}");
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }
}

fn text_of(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}
