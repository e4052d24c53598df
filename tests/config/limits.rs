//! Mistakes in what limits an output, and in what outputs say of one another.

use super::{NODE, messages, read, said};

#[test]
fn every_mistake_about_a_limit_is_found() {
    let heater = "[outputs.heater]\ndriver = \"gpio\"\npin = 17\ncycle = \"20s\"\n";
    let fan = "[outputs.fan]\ndriver = \"pwm\"\nchannel = 0\n";
    let pump = "[outputs.pump]\ndriver = \"gpio\"\npin = 22\n";
    let light = "[outputs.light]\ndriver = \"gpio\"\npin = 23\n";
    let cases = [
        (format!("{heater}max_on = {{ \"6h\" = \"per 32d\" }}"), "`max_on` of output heater cannot be \"per 32d\""),
        (format!("{heater}max_on = {{ \"2h\" = \"per hour\" }}"), "`max_on` of output heater is out of range"),
        (
            format!("{heater}max_on = {{ \"1h\" = \"per day\", \"2h\" = \"per 24h\" }}"),
            "`max_on` of output heater has two limits per 24h",
        ),
        (
            format!("{heater}min_on = \"10s\"\nmax_on = {{ \"5s\" = \"per hour\" }}"),
            "`max_on` of output heater is shorter than `min_on`",
        ),
        (format!("{heater}max_starts = \"often\""), "`max_starts` of output heater is not a number of starts"),
        (format!("{heater}max_starts = 0"), "`max_starts` of output heater is not a number of starts"),
        (format!("{heater}max_starts = \"200 per year\""), "`max_starts` of output heater cannot be \"per year\""),
        (format!("{heater}max_starts = 179"), "`cycle` of output heater begins more pulses than 179 starts per hour"),
        (format!("{heater}only_while = \"fan\""), "`only_while` of output heater is not a list of outputs"),
        (
            format!("{heater}never_with = [\"Fan\"]"),
            "`never_with` of output heater has what is not the name of an output",
        ),
        (format!("{heater}never_with = [\"heater\"]"), "`never_with` of output heater names itself"),
        (
            format!("{fan}{heater}only_while = [\"fan\"]\nnever_with = [\"fan\"]"),
            "output heater is on only while fan is, and never with it",
        ),
        (
            format!("{heater}{fan}only_while = [\"heater\"]"),
            "output fan would come and go with the pulses of heater, which has a `cycle`",
        ),
        (
            format!("{fan}{heater}safe = \"on\"\nonly_while = [\"fan\"]"),
            "output heater is on when it is safe, whether fan is on or not",
        ),
        (
            format!("{fan}safe = 0.3\n{heater}safe = \"on\"\nnever_with = [\"fan\"]"),
            "output heater is never on with fan, but both are when they are safe",
        ),
        (
            format!("{fan}only_while = [\"pump\"]\n{pump}only_while = [\"light\"]\n{light}only_while = [\"fan\"]"),
            "`only_while` goes in a circle: fan, pump, light, fan",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(messages(&format!("{NODE}{text}\n")), [expected], "{text}");
    }
}

#[test]
fn an_output_that_is_not_there_is_shown_where_it_is_named() {
    let text = r#"[outputs.heater]
driver = "gpio"
pin = 17
only_while = ["fna"]

[outputs.fan]
driver = "pwm"
channel = 0
"#;
    let expected = r#"
error: there is no output `fna`
 --> config.toml:7:15
  |
7 | only_while = ["fna"]
  |               ^^^^^ did you mean `fan`?
"#;
    assert_eq!(said(&format!("{NODE}{text}")), expected.trim_start());
}

#[test]
fn limits_are_read_as_people_write_them() {
    let config = read(&format!(
        "{NODE}[outputs.heater]\ndriver = \"gpio\"\npin = 17\nonly_while = [\"fan\"]\nmin_off = \"1m\"\nmax_starts = 6\n\
         max_on = {{ \"30m\" = \"at once\", \"10m\" = \"per hour\", \"6h\" = \"per day\", \"20h\" = \"per 7d\" }}\n\
         [outputs.fan]\ndriver = \"gpio\"\npin = 18\nnever_with = [\"heater\"]\nmax_starts = \"20 per 90m\"\n"
    ))
    .unwrap();
    let [heater, fan] = &config.outputs[..] else { panic!("{config:?}") };
    assert_eq!(heater.limits.max_on.unwrap().as_secs(), 1800);
    let said: Vec<String> = heater.limits.budgets.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["10m per hour", "6h per day", "20h per 7d"]);
    assert_eq!(heater.limits.starts.unwrap().to_string(), "6 starts per hour");
    assert_eq!(fan.limits.starts.unwrap().to_string(), "20 starts per 1h 30m");
    assert_eq!((heater.interlocks.only_while[0].as_str(), fan.interlocks.never_with[0].as_str()), ("fan", "heater"));
}
