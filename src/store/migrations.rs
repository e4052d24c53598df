//! Every schema there was, as the steps from one to the next. What was released here is never edited.

/// Each brings the file from the schema of its index to the next.
pub(super) const MIGRATIONS: [&str; 3] = [
    "
    -- A channel that changes its unit becomes another series.
    CREATE TABLE series (
        id   INTEGER PRIMARY KEY,
        name TEXT NOT NULL,             -- air.temperature
        unit TEXT NOT NULL,
        UNIQUE (name, unit)
    );
    -- A series lies together on disk, in the order of time.
    CREATE TABLE readings (
        series  INTEGER NOT NULL REFERENCES series (id),
        time    INTEGER NOT NULL,       -- milliseconds since 1970, UTC
        seq     INTEGER NOT NULL,       -- of this node, growing, never used twice
        value   REAL,                   -- NULL when bad
        quality INTEGER NOT NULL,       -- 0 good, 1 uncertain, 2 bad
        reason  TEXT,                   -- why not good; NULL when it is the same as before
        PRIMARY KEY (series, time, seq)
    ) WITHOUT ROWID;
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID;
    -- For people and their tools.
    CREATE VIEW history AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', readings.time / 1000.0, 'unixepoch') AS time,
           series.name AS channel,
           readings.value,
           series.unit,
           CASE readings.quality WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' ELSE 'bad' END AS quality,
           readings.reason,
           readings.seq
    FROM readings JOIN series ON series.id = readings.series;
",
    "
    -- One row for each change that people were told of.
    CREATE TABLE alarms (
        id           INTEGER PRIMARY KEY,   -- in the order in which it happened
        since        INTEGER NOT NULL,      -- when it was raised, or when it went: milliseconds since 1970, UTC
        name         TEXT NOT NULL,         -- sensors.air
        text         TEXT,                  -- NULL when it has gone
        latched      INTEGER NOT NULL,      -- 1: stands until a person acknowledges it
        acknowledged INTEGER NOT NULL       -- 1: a person knows of it
    );
    CREATE INDEX alarms_by_name ON alarms (name, id);
    -- For people and their tools.
    CREATE VIEW alarm_history AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', since / 1000.0, 'unixepoch') AS since,
           name,
           CASE WHEN text IS NULL THEN 'gone' WHEN acknowledged THEN 'acknowledged'
                WHEN latched THEN 'latched' ELSE 'raised' END AS state,
           text
    FROM alarms ORDER BY id;
",
    "
    -- Readings now lie in the order in which they came, so that a flush touches a few pages at the end and no others.
    DROP VIEW history;
    ALTER TABLE readings RENAME TO readings_by_series;
    -- Why a reading is not good. A text stands here again from time to time, so that old ones can go with their readings.
    CREATE TABLE reasons (
        id   INTEGER PRIMARY KEY,       -- the number of the first reading it was given for
        text TEXT NOT NULL
    );
    CREATE TABLE readings (
        seq     INTEGER PRIMARY KEY,    -- of this node, growing, never used twice
        series  INTEGER NOT NULL REFERENCES series (id),
        time    INTEGER NOT NULL,       -- milliseconds since 1970, UTC
        value   REAL,                   -- NULL when bad
        quality INTEGER NOT NULL,       -- 0 good, 1 uncertain, 2 bad
        reason  INTEGER                 -- why not good: of the table reasons
    );
    INSERT OR IGNORE INTO reasons SELECT seq, reason FROM readings_by_series WHERE reason IS NOT NULL;
    INSERT OR IGNORE INTO readings
    SELECT seq, series, time, value, quality,
           CASE WHEN quality > 0 THEN
               max(CASE WHEN reason IS NOT NULL THEN seq END) OVER (PARTITION BY series ORDER BY seq)
           END
    FROM readings_by_series ORDER BY seq;
    DROP TABLE readings_by_series;
    -- In which times some thousand readings lie. Those above the last of these are in none yet.
    CREATE TABLE batches (
        first_seq INTEGER PRIMARY KEY,
        last_seq  INTEGER NOT NULL,
        from_time INTEGER NOT NULL,     -- the earliest, milliseconds since 1970, UTC
        to_time   INTEGER NOT NULL,     -- the latest
        count     INTEGER NOT NULL
    );
    INSERT INTO batches SELECT min(seq), max(seq), min(time), max(time), count(*) FROM readings GROUP BY seq / 1000;
    -- Good and uncertain readings together, by the minute and by the hour in which they were taken.
    CREATE TABLE rollup_minutes (
        time   INTEGER NOT NULL,        -- the minute's beginning, milliseconds since 1970, UTC
        series INTEGER NOT NULL REFERENCES series (id),
        min    REAL NOT NULL,
        max    REAL NOT NULL,
        sum    REAL NOT NULL,
        count  INTEGER NOT NULL,
        PRIMARY KEY (time, series)
    ) WITHOUT ROWID;
    CREATE TABLE rollup_hours (
        time   INTEGER NOT NULL,
        series INTEGER NOT NULL REFERENCES series (id),
        min    REAL NOT NULL,
        max    REAL NOT NULL,
        sum    REAL NOT NULL,
        count  INTEGER NOT NULL,
        PRIMARY KEY (time, series)
    ) WITHOUT ROWID;
    -- One row for each change of an output that people were told of.
    CREATE TABLE output_changes (
        id     INTEGER PRIMARY KEY,     -- in the order in which it happened
        time   INTEGER NOT NULL,        -- milliseconds since 1970, UTC
        output TEXT NOT NULL,
        level  REAL NOT NULL,           -- what it was asked for, 0 to 1
        is_on  INTEGER NOT NULL,        -- 1: the pin was on
        owner  TEXT,                    -- who asked; NULL when it rested at its safe level
        why    TEXT NOT NULL
    );
    -- For people and their tools.
    CREATE VIEW history AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', readings.time / 1000.0, 'unixepoch') AS time,
           series.name AS channel,
           readings.value,
           series.unit,
           CASE readings.quality WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' ELSE 'bad' END AS quality,
           reasons.text AS reason,
           readings.seq
    FROM readings JOIN series ON series.id = readings.series LEFT JOIN reasons ON reasons.id = readings.reason;
    CREATE VIEW minutes AS
    SELECT strftime('%Y-%m-%dT%H:%M:%SZ', rollup.time / 1000, 'unixepoch') AS time,
           series.name AS channel, series.unit, rollup.min, rollup.max, rollup.sum / rollup.count AS mean, rollup.count
    FROM rollup_minutes AS rollup JOIN series ON series.id = rollup.series;
    CREATE VIEW hours AS
    SELECT strftime('%Y-%m-%dT%H:%M:%SZ', rollup.time / 1000, 'unixepoch') AS time,
           series.name AS channel, series.unit, rollup.min, rollup.max, rollup.sum / rollup.count AS mean, rollup.count
    FROM rollup_hours AS rollup JOIN series ON series.id = rollup.series;
    CREATE VIEW output_history AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS time,
           output, level, CASE WHEN is_on THEN 'on' ELSE 'off' END AS state, owner, why
    FROM output_changes ORDER BY id;
",
];
