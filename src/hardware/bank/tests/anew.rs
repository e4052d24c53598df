//! Hardware that goes and comes back: when a line is dropped and opened anew, and at which level.

use super::*;

/// A plug, and what was done at it.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    log: Vec<String>,
    /// What is plugged in now, counted; a line knows the one that it was opened on.
    chip: u32,
    /// Nothing is.
    gone: bool,
    /// So many transfers fail before the next one is carried.
    noise: u32,
    /// Done in the midst of the next write that fails.
    meanwhile: Option<Box<dyn FnOnce() + Send>>,
    /// Every word is taken, but who reads hears of what became of the chip.
    deaf: bool,
    bound: bool,
    level: Option<Level>,
}

struct Plugged {
    board: Board,
    chip: u32,
}

impl Board {
    fn opener(&self) -> OpenLine {
        let board = self.clone();
        Box::new(move |level| {
            board.transfer(None, format!("open {level}"))?;
            board.set(|state| state.level = Some(level));
            let chip = board.0.lock().unwrap().chip;
            Ok(Box::new(Plugged { board: board.clone(), chip }))
        })
    }

    fn transfer(&self, chip: Option<u32>, what: String) -> Result<(), HardwareError> {
        let mut state = self.0.lock().unwrap();
        let noise = state.noise > 0;
        state.noise = state.noise.saturating_sub(1);
        if noise || state.gone || chip.is_some_and(|chip| chip != state.chip) {
            let meanwhile = state.meanwhile.take();
            drop(state);
            meanwhile.into_iter().for_each(|deed| deed());
            return Err(HardwareError::Io { what: "chip".into(), reason: "no such device".into() });
        }
        state.log.push(what);
        Ok(())
    }

    fn unplug(&self) {
        self.0.lock().unwrap().gone = true;
    }

    fn plug_in(&self) {
        let mut state = self.0.lock().unwrap();
        (state.gone, state.chip) = (false, state.chip + 1);
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }
}

impl Line for Plugged {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let deaf = self.board.0.lock().unwrap().deaf;
        self.board.transfer((!deaf).then_some(self.chip), format!("write {level}"))?;
        self.board.set(|state| state.level = Some(level));
        Ok(Confirmation::Accepted)
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        self.board.transfer(Some(self.chip), "read".into())?;
        Ok(self.board.0.lock().unwrap().level)
    }

    fn renewable(&self) -> bool {
        !self.board.0.lock().unwrap().bound
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        self.board.set(|state| state.log.push("drop".into()));
    }
}

fn plugged() -> (Bank, Arc<Slot>, Board) {
    let lane = Lanes::new(Clock::simulated(Timestamp::from_millis(0)), Execution::Inline).get("i2c-1");
    let (bank, board) = (Bank::default(), Board::default());
    let slot = bank.add(&OutputId::new("heater").unwrap(), lane, Level::OFF, board.opener());
    (bank, slot, board)
}

#[tokio::test(start_paused = true)]
async fn hardware_that_comes_back_as_another_is_opened_anew_at_the_level_that_is_due() {
    let (bank, slot, board) = plugged();
    slot.write(Level::ON, secs(9)).await.unwrap();
    board.plug_in();
    slot.write(Level::OFF, secs(9)).await.unwrap_err();
    assert_eq!(board.log(), ["open on", "write on"], "the first failure may be an accident");
    bank.release(secs(1)).await;
    assert_eq!(board.log(), ["drop", "open off", "write off"]);
    assert_eq!((slot.level(), slot.trouble()), (Some(Level::OFF), None));

    // It is away for a while.
    board.unplug();
    for _ in 0..4 {
        slot.write(Level::ON, secs(9)).await.unwrap_err();
        assert_eq!(slot.level(), None);
    }
    assert_eq!(board.log(), ["drop"]);
    board.plug_in();
    bank.release(secs(10)).await;
    assert_eq!(board.log(), ["open off", "write off"], "nobody held it on any more");
}

#[tokio::test(start_paused = true)]
async fn failures_that_do_not_last_open_nothing() {
    let (bank, slot, board) = plugged();
    slot.write(Level::ON, secs(9)).await.unwrap();
    board.log();
    for _ in 0..3 {
        board.set(|state| state.noise = 1);
        slot.write(Level::OFF, secs(9)).await.unwrap_err();
        slot.write(Level::ON, secs(9)).await.unwrap();
        board.set(|state| state.noise = 1);
        bank.verify().await;
        bank.verify().await;
    }
    let log = board.log();
    assert!(log.iter().all(|done| done == "write on" || done == "read"), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_while_the_old_line_fails_is_what_the_new_one_begins_with() {
    let (bank, slot, board) = plugged();
    slot.write(Level::new(0.5).unwrap(), secs(9)).await.unwrap();
    board.plug_in();
    slot.write(Level::ON, secs(9)).await.unwrap_err();
    board.log();
    let (table, key) = (bank.table.clone(), slot.key);
    let falls = Box::new(move || drop(locked(&table).want(key, Level::OFF).unwrap()));
    board.set(|state| state.meanwhile = Some(falls));
    slot.write(Level::ON, secs(9)).await.unwrap();
    assert_eq!(board.log(), ["drop", "open off", "write off"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_every_word_and_cannot_be_read_is_opened_anew_too() {
    let (bank, slot, board) = plugged();
    slot.write(Level::ON, secs(99)).await.unwrap();
    board.set(|state| state.deaf = true);
    board.plug_in();
    bank.verify().await;
    assert_eq!(board.log(), ["open on", "write on", "write on"]);
    bank.verify().await;
    assert_eq!(board.log(), ["drop", "open on", "write on"]);
    bank.verify().await;
    assert_eq!((board.log(), slot.trouble()), (vec!["read".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_comes_back_by_itself_is_kept() {
    let (bank, slot, board) = plugged();
    slot.write(Level::ON, secs(99)).await.unwrap();
    board.set(|state| (state.bound, state.noise) = (true, 9));
    for _ in 0..9 {
        bank.verify().await;
        bank.release(secs(1)).await;
    }
    let log = board.log();
    assert!(log.iter().all(|done| done != "drop") && log.len() > 2, "{log:?}");
    assert_eq!(slot.level(), Some(Level::ON));
}
