-- The SQLite file of a crawl, version 1 (PRAGMA user_version). It may be read with any SQL tool, also while a crawl writes it.
--
-- Times are integers: microseconds since 1970, UTC. Node-IDs and ids of crawls are raw bytes. In all other tables a node, a crawl, a
-- vantage, a client name and a list of capabilities are small numbers (`no`), which mean something in this file only.
-- What others define as unsigned 64-bit numbers (sequence, network_id, fork_next, head_number) is kept in SQLite's signed ones: from 2^63
-- up, less 2^64. To order records by sequence: ORDER BY sequence < 0, sequence.
-- Text of strangers (client names, capabilities) stands in `client` and `capset` only. It has no NUL and no lone surrogates.
--
-- Two kinds of tables. Facts, which only grow: crawl, sighting, enr, visit. What follows from visits, which triggers keep true at every
-- insert: standing, spell, heard, hourly, and the columns of `node` below its key. Whatever order facts arrive in, the same follows.

-- What numbers mean ------------------------------------------------------------------------------------------------------------------

CREATE TABLE kind (no INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO kind VALUES (1, 'V4'), (2, 'V5'), (3, 'RLPX'), (4, 'INBOUND');

CREATE TABLE outcome (no INTEGER PRIMARY KEY, name TEXT NOT NULL, alive INTEGER NOT NULL) STRICT;
INSERT INTO outcome VALUES
    (0, 'OK', 1), (1, 'SILENT', 0), (2, 'REFUSED', 0), (3, 'UNREACHABLE', 0), (4, 'NO_ADDRESS', 0), (5, 'HUNG_UP', 0),
    (6, 'HANDSHAKE_TIMEOUT', 0), (7, 'HELLO_TIMEOUT', 0), (8, 'WRONG_KEY', 0), (9, 'BROKE_RULES', 0), (10, 'TOO_MANY_PEERS', 1),
    (11, 'DISCONNECTED', 1), (12, 'STATUS_TIMEOUT', 1), (13, 'OUR_FAULT', 0);

-- From which places the crawlers looked.
CREATE TABLE vantage (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- The client names of Hellos, whole.
CREATE TABLE client (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- The capabilities of Hellos, each list as a JSON array of texts such as "eth/69", for json_each().
CREATE TABLE capset (no INTEGER PRIMARY KEY, capabilities TEXT NOT NULL UNIQUE) STRICT;

-- Facts ------------------------------------------------------------------------------------------------------------------------------

CREATE TABLE crawl (
    no        INTEGER PRIMARY KEY,
    id        BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    vantage   INTEGER REFERENCES vantage, -- NULL while only visits of the crawl are here, and nothing of itself; then all below is NULL
    started   INTEGER,
    updated   INTEGER, -- the row with the later one replaces the other
    ended     INTEGER, -- NULL while it runs, and for ever if it was killed
    program   TEXT,
    settings  TEXT, -- JSON
    counters  TEXT  -- JSON
) STRICT;

CREATE TABLE node (
    no          INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    public_key  BLOB CHECK (length(public_key) = 64), -- NULL until somebody told where the node is
    -- what follows from its visits:
    first_visit INTEGER, -- the least `began`
    newest      INTEGER, -- the visit (no) that was written last: the head of the chain by visit.previous
    score       INTEGER NOT NULL DEFAULT 0, -- over visits by UDP as they ended: one more if it answered, else half, rounded down
    scored_at   INTEGER, -- the latest `ended` of those
    stale       INTEGER NOT NULL DEFAULT 0 -- 1: a visit came that ended before one that was here: score and spells are to be computed anew
) STRICT;
CREATE INDEX node_stale ON node (no) WHERE stale = 1;

-- Who told where a node is: one row for each node, vantage and place, with the first and the last time.
CREATE TABLE sighting (
    node    INTEGER NOT NULL REFERENCES node,
    vantage INTEGER NOT NULL REFERENCES vantage,
    ip      BLOB NOT NULL CHECK (length(ip) IN (0, 4, 16)),
    udp     INTEGER NOT NULL,
    tcp     INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (node, vantage, ip, udp, tcp)
) STRICT, WITHOUT ROWID;

-- Records that nodes signed (EIP-778). The newest one of a node: ORDER BY sequence < 0 DESC, sequence DESC, raw DESC LIMIT 1.
CREATE TABLE enr (
    node     INTEGER NOT NULL REFERENCES node,
    sequence INTEGER NOT NULL,
    raw      BLOB NOT NULL,
    seen     INTEGER NOT NULL, -- when it was first seen
    PRIMARY KEY (node, sequence, raw)
) STRICT, WITHOUT ROWID;

-- Visits: `no` grows as they are written, which is nearly as they ended. Pages are then filled one after the other, whatever node a visit
-- went to; the visits of one node hang together by `previous`.
CREATE TABLE visit (
    no           INTEGER PRIMARY KEY,
    node         INTEGER NOT NULL REFERENCES node,
    kind         INTEGER NOT NULL REFERENCES kind,
    crawl        INTEGER NOT NULL REFERENCES crawl,
    outcome      INTEGER NOT NULL REFERENCES outcome,
    began        INTEGER NOT NULL,
    ended        INTEGER NOT NULL,
    rtt          INTEGER, -- microseconds
    asked        INTEGER NOT NULL,
    told         INTEGER,
    ip           BLOB NOT NULL CHECK (length(ip) IN (0, 4, 16)),
    port         INTEGER NOT NULL,
    previous     INTEGER, -- the visit to the same node that was written before this one
    capset       INTEGER REFERENCES capset, -- NULL: the node said nothing, and all below is NULL
    client       INTEGER REFERENCES client,
    listen_port  INTEGER,
    reason       INTEGER, -- of a Disconnect
    eth_version  INTEGER, -- NULL: no Status came, and all below is NULL
    network_id   INTEGER,
    genesis      BLOB,
    fork_hash    BLOB,
    fork_next    INTEGER,
    head         BLOB,
    head_number  INTEGER,
    alive        INTEGER GENERATED ALWAYS AS (outcome IN (0, 10, 11, 12)) VIRTUAL -- the node showed that it is there
) STRICT;
CREATE UNIQUE INDEX visit_key ON visit (began, node, kind, crawl);

-- When each node is to be visited next, as the crawler left it. It is no fact about the network, and `merge` leaves it out.
CREATE TABLE frontier (node INTEGER PRIMARY KEY REFERENCES node, due_at INTEGER NOT NULL) STRICT;

-- What follows from visits (those that failed by our own fault are left out but in `hourly`) -------------------------------------------

-- How each node stands by each kind of visit. "Latest" is by (ended, began, id of the crawl).
CREATE TABLE standing (
    node         INTEGER NOT NULL REFERENCES node,
    kind         INTEGER NOT NULL REFERENCES kind,
    visits       INTEGER NOT NULL,
    answers      INTEGER NOT NULL, -- visits in which it was alive
    hellos       INTEGER NOT NULL, -- visits that brought a Hello
    last         INTEGER NOT NULL, -- the latest visit (no)
    last_at      INTEGER NOT NULL, -- its `ended`; so below
    first_ok_at  INTEGER, -- the least `ended` of visits in which it was alive
    ok           INTEGER, -- the latest visit in which it was alive
    ok_at        INTEGER,
    hello        INTEGER, -- the latest visit that brought a Hello
    hello_at     INTEGER,
    status       INTEGER, -- the latest visit that brought a Status
    status_at    INTEGER,
    spell        INTEGER NOT NULL, -- its spell that is not over: number,
    spell_began  INTEGER NOT NULL, -- `began` of its first visit,
    spell_alive  INTEGER NOT NULL,
    spell_visits INTEGER NOT NULL, -- and how many visits; its last one ended at last_at
    PRIMARY KEY (node, kind)
) STRICT, WITHOUT ROWID;

-- Visits of one kind to a node, in a row, that all found it alive, or all not. Only those that are over; the view `spells` has all.
CREATE TABLE spell (
    node   INTEGER NOT NULL REFERENCES node,
    kind   INTEGER NOT NULL REFERENCES kind,
    number INTEGER NOT NULL, -- from 0
    began  INTEGER NOT NULL, -- `began` of the first visit
    ended  INTEGER NOT NULL, -- `ended` of the last one
    alive  INTEGER NOT NULL,
    visits INTEGER NOT NULL,
    PRIMARY KEY (node, kind, number)
) STRICT, WITHOUT ROWID;

CREATE VIEW spells AS
    SELECT node, kind, number, began, ended, alive, visits FROM spell
    UNION ALL SELECT node, kind, spell, spell_began, last_at, spell_alive, spell_visits FROM standing;

-- Which crawls found which nodes alive.
CREATE TABLE heard (
    crawl INTEGER NOT NULL REFERENCES crawl,
    node  INTEGER NOT NULL REFERENCES node,
    PRIMARY KEY (crawl, node)
) STRICT, WITHOUT ROWID;

-- How many visits began in each hour (since 1970).
CREATE TABLE hourly (
    crawl   INTEGER NOT NULL REFERENCES crawl,
    hour    INTEGER NOT NULL,
    kind    INTEGER NOT NULL REFERENCES kind,
    outcome INTEGER NOT NULL REFERENCES outcome,
    visits  INTEGER NOT NULL,
    PRIMARY KEY (crawl, hour, kind, outcome)
) STRICT, WITHOUT ROWID;

-- `hourly` and visit.previous are kept by whoever inserts (rows.py), for many rows at once; triggers keep all else.

CREATE TRIGGER visit_failed_by_our_fault AFTER INSERT ON visit WHEN NEW.outcome = 13 BEGIN
    UPDATE node SET newest = NEW.no, first_visit = min(NEW.began, coalesce(first_visit, NEW.began)) WHERE no = NEW.node;
END;

CREATE TRIGGER visit_tells AFTER INSERT ON visit WHEN NEW.outcome <> 13 BEGIN
    UPDATE node SET
        newest = NEW.no,
        first_visit = min(NEW.began, coalesce(first_visit, NEW.began)),
        score = CASE WHEN NEW.kind > 2 THEN score WHEN NEW.alive THEN score + 1 ELSE score / 2 END,
        scored_at = iif(NEW.kind > 2, scored_at, max(NEW.ended, coalesce(scored_at, NEW.ended))),
        stale = stale OR (NEW.kind <= 2 AND coalesce(scored_at >= NEW.ended, 0))
            OR EXISTS (SELECT 1 FROM standing WHERE node = NEW.node AND kind = NEW.kind AND last_at >= NEW.ended)
        WHERE no = NEW.node;
    INSERT INTO spell
        SELECT node, kind, spell, spell_began, last_at, spell_alive, spell_visits FROM standing
        WHERE node = NEW.node AND kind = NEW.kind AND spell_alive <> NEW.alive
        ON CONFLICT DO NOTHING;
    INSERT INTO standing VALUES (
        NEW.node, NEW.kind, 1, NEW.alive, NEW.client IS NOT NULL, NEW.no, NEW.ended,
        iif(NEW.alive, NEW.ended, NULL), iif(NEW.alive, NEW.no, NULL), iif(NEW.alive, NEW.ended, NULL),
        iif(NEW.client IS NULL, NULL, NEW.no), iif(NEW.client IS NULL, NULL, NEW.ended),
        iif(NEW.eth_version IS NULL, NULL, NEW.no), iif(NEW.eth_version IS NULL, NULL, NEW.ended),
        0, NEW.began, NEW.alive, 1
    ) ON CONFLICT DO UPDATE SET
        visits = visits + 1,
        answers = answers + excluded.answers,
        hellos = hellos + excluded.hellos,
        last = CASE WHEN NEW.ended > last_at THEN NEW.no WHEN NEW.ended < last_at THEN last
            ELSE (SELECT no FROM ranked_visit WHERE no IN (NEW.no, standing.last) ORDER BY began DESC, crawl_id DESC LIMIT 1) END,
        last_at = max(last_at, NEW.ended),
        first_ok_at = min(coalesce(first_ok_at, excluded.first_ok_at), coalesce(excluded.first_ok_at, first_ok_at)),
        ok = CASE WHEN NOT NEW.alive OR NEW.ended < ok_at THEN ok WHEN ok IS NULL OR NEW.ended > ok_at THEN NEW.no
            ELSE (SELECT no FROM ranked_visit WHERE no IN (NEW.no, standing.ok) ORDER BY began DESC, crawl_id DESC LIMIT 1) END,
        ok_at = max(coalesce(ok_at, excluded.ok_at), coalesce(excluded.ok_at, ok_at)),
        hello = CASE WHEN NEW.client IS NULL OR NEW.ended < hello_at THEN hello WHEN hello IS NULL OR NEW.ended > hello_at THEN NEW.no
            ELSE (SELECT no FROM ranked_visit WHERE no IN (NEW.no, standing.hello) ORDER BY began DESC, crawl_id DESC LIMIT 1) END,
        hello_at = max(coalesce(hello_at, excluded.hello_at), coalesce(excluded.hello_at, hello_at)),
        status = CASE WHEN NEW.eth_version IS NULL OR NEW.ended < status_at THEN status
            WHEN status IS NULL OR NEW.ended > status_at THEN NEW.no
            ELSE (SELECT no FROM ranked_visit WHERE no IN (NEW.no, standing.status) ORDER BY began DESC, crawl_id DESC LIMIT 1) END,
        status_at = max(coalesce(status_at, excluded.status_at), coalesce(excluded.status_at, status_at)),
        spell = spell + (spell_alive <> NEW.alive),
        spell_began = iif(spell_alive = NEW.alive, spell_began, NEW.began),
        spell_visits = iif(spell_alive = NEW.alive, spell_visits + 1, 1),
        spell_alive = NEW.alive;
    INSERT INTO heard SELECT NEW.crawl, NEW.node WHERE NEW.alive ON CONFLICT DO NOTHING;
END;

CREATE VIEW ranked_visit AS SELECT visit.no, visit.began, crawl.id AS crawl_id FROM visit JOIN crawl ON crawl.no = visit.crawl;
