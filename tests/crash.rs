//! The real program dies at random moments, loses its disk or finds a damaged database. Outputs are safe, limits hold,
//! nothing that was stored is lost. Real processes, a real broker, real files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/broker.rs"]
mod broker;
#[path = "crash/house.rs"]
mod house;

use std::time::Duration;

use broker::Mosquitto;
use house::{House, LOAD};

/// How many times the daemon is killed.
const DEATHS: u64 = 50;

/// What it promises after a crash, with the command that systemd runs.
const SAFE_WITHIN: Duration = Duration::from_secs(2);

fn mosquitto() -> Mosquitto {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Mosquitto::start())
}

#[test]
#[ignore = "needs mosquitto"]
fn killed_at_fifty_random_moments_its_outputs_are_safe_its_limits_hold_and_its_readings_stay() {
    let broker = mosquitto();
    let mut house = House::new(&LOAD.replace("PORT", &broker.port.to_string()));
    let mut rng = fastrand::Rng::with_seed(9);
    let mut stored = 0;
    let mut was_on = 0;
    for death in 0..DEATHS {
        house.start();
        house.live_for(Duration::from_millis(rng.u64(0..2500)));
        was_on += u64::from(house.levels().values().any(|level| level != "off"));
        let killed = house.kill();
        let safe = house.make_safe();
        assert!(safe.status.success(), "death {death}: {}", house::text(&safe));
        let off = house.last_change().saturating_sub(killed);
        assert!(off < SAFE_WITHIN.as_millis() as i64, "death {death}: safe only after {off} ms");
        assert!(house.levels().values().all(|level| level == "off"), "death {death}: {:?}", house.levels());
        // What was stored before this life is there still, whole and in order.
        let now = house.stored();
        assert!(now >= stored, "death {death}: {stored} readings were stored, and {now} are");
        house.assert_whole();
        stored = now;
    }
    assert!(was_on > DEATHS / 4, "only {was_on} deaths came while an output was on: this proves little");
    assert!(stored > 1000, "{stored} readings");
    let pump = house.pulses(27);
    let spent: i64 = pump.iter().map(|(on, off)| off - on).sum();
    assert!(spent <= 20_000, "the pump may run for 20 s an hour, and ran for {spent} ms over {DEATHS} deaths");
    assert!(spent > 5_000, "the pump ran for {spent} ms only: its budget was not the limit");
    for pair in house.pulses(22).windows(2) {
        let rest = pair[1].0 - pair[0].1;
        assert!(rest >= 1500, "the compressor rests for 1.5 s, and did for {rest} ms");
    }
}

#[test]
#[ignore = "needs mosquitto"]
fn asked_to_stop_under_load_it_is_safe_and_has_stored_everything_within_two_seconds() {
    let broker = mosquitto();
    let mut house = House::new(&LOAD.replace("PORT", &broker.port.to_string()));
    let mut rng = fastrand::Rng::with_seed(4);
    for _ in 0..5 {
        house.start();
        house.live_for(Duration::from_millis(500 + rng.u64(0..2000)));
        let before = house.stored();
        let (asked, code, ended) = house.terminate();
        assert_eq!(code, Some(0), "{}", house.log());
        assert!(house.last_change() - asked < 1000, "safe within a second");
        assert!(ended - asked < 2000, "gone within two");
        assert!(house.levels().values().all(|level| level == "off"));
        assert!(house.stored() > before);
        house.assert_whole();
    }
}

#[test]
#[ignore = "needs mount namespaces"]
fn a_full_disk_stops_neither_control_nor_loses_what_fits_later() {
    let mut house = House::on_tmpfs(&house::without_broker(LOAD));
    house.start();
    house.live_for(Duration::from_millis(1500));
    house.fill_disk();
    let on_before = house.pulses(17).len();
    house.live_for(Duration::from_secs(6));
    assert!(house.pulses(17).len() > on_before + 1, "the heater's pulses go on");
    assert!(house.log().contains("readings wait in memory"), "{}", house.log());
    let full = house.stored();
    house.make_room();
    house.live_for(Duration::from_secs(3));
    assert!(house.stored() > full + 50, "what had waited is stored: {full}, then {}", house.stored());
    assert!(house.log().contains("no reading was lost"), "{}", house.log());
    house.assert_whole();
    assert_eq!(house.terminate().1, Some(0), "{}", house.log());
}

#[test]
#[ignore = "needs mount namespaces"]
fn what_starts_on_a_read_only_disk_controls_and_stores_when_it_can() {
    let mut house = House::on_tmpfs(&house::without_broker(LOAD));
    house.start();
    house.live_for(Duration::from_millis(1500));
    house.kill();
    let stored = house.stored();
    house.set_read_only(true);
    house.start();
    let pulses = house.pulses(17).len();
    house.live_for(Duration::from_secs(4));
    assert!(house.pulses(17).len() > pulses + 1, "the heater's pulses go on: {}", house.log());
    assert_eq!(house.stored(), stored);
    house.set_read_only(false);
    house.live_for(Duration::from_secs(4));
    assert!(house.stored() > stored + 100, "what had waited is stored: {}", house.log());
    house.assert_whole();
    assert_eq!(house.terminate().1, Some(0), "{}", house.log());
}

#[test]
fn a_damaged_database_is_put_aside_and_a_new_one_begun() {
    let mut house = House::new(&house::without_broker(LOAD));
    house.start();
    house.live_for(Duration::from_millis(1500));
    house.kill();
    let last = house.last_seq();
    house.damage_database();
    house.start();
    house.live_for(Duration::from_millis(2500));
    assert!(house.log().contains("damaged"), "{}", house.log());
    assert_eq!(house.put_aside(), 1);
    assert!(house.stored() > 0);
    assert!(house.first_seq() > last, "no number is given twice: {} after {last}", house.first_seq());
    house.assert_whole();
}
