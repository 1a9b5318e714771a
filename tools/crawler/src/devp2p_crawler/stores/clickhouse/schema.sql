-- The tables of crawls in ClickHouse, version 1. Statements are parted by lines that end with a semicolon.
--
-- Times are integers: microseconds since 1970, UTC. Node-IDs, ids of crawls and addresses are raw bytes: hex(node), and
-- IPv4NumToString(reinterpretAsUInt32(reverse(ip))) for an address of 4 bytes. What is written twice is one row with FINAL.

CREATE TABLE IF NOT EXISTS meta (version UInt32) ENGINE = ReplacingMergeTree ORDER BY version;

CREATE TABLE IF NOT EXISTS crawl (
    id       FixedString(16),
    vantage  LowCardinality(String),
    started  Int64,
    updated  Int64,
    ended    Nullable(Int64),
    program  String,
    settings String,
    counters String
) ENGINE = ReplacingMergeTree(updated) ORDER BY id;

CREATE TABLE IF NOT EXISTS sighting (
    node       FixedString(32),
    public_key SimpleAggregateFunction(max, FixedString(64)),
    vantage    LowCardinality(String),
    ip         String,
    udp        Int32,
    tcp        Int32,
    first      SimpleAggregateFunction(min, Int64),
    last       SimpleAggregateFunction(max, Int64)
) ENGINE = AggregatingMergeTree ORDER BY (node, vantage, ip, udp, tcp);

CREATE TABLE IF NOT EXISTS enr (
    node     FixedString(32),
    sequence UInt64,
    raw      String,
    seen     SimpleAggregateFunction(min, Int64)
) ENGINE = AggregatingMergeTree ORDER BY (node, sequence, raw);

-- One partition a month, and one, 0, for clocks that are far wrong.
CREATE TABLE IF NOT EXISTS visit (
    began        Int64,
    node         FixedString(32),
    kind         UInt8,
    crawl        FixedString(16),
    outcome      UInt8,
    ended        Int64,
    rtt          Nullable(Int64),
    asked        Int64,
    told         Nullable(Int64),
    ip           String,
    port         Int32,
    has_said     UInt8, -- 0: the node said nothing, and all below is empty
    client       LowCardinality(Nullable(String)),
    capabilities Array(LowCardinality(String)),
    listen_port  Nullable(UInt64),
    reason       Nullable(UInt64),
    eth_version  Nullable(UInt64), -- NULL: no Status came, and all below is NULL
    network_id   Nullable(UInt64),
    genesis      Nullable(String),
    fork_hash    Nullable(String),
    fork_next    Nullable(UInt64),
    head         Nullable(String),
    head_number  Nullable(UInt64)
) ENGINE = ReplacingMergeTree
PARTITION BY if(began >= 1400000000000000 AND began < 4000000000000000, toYYYYMM(toDateTime(intDiv(began, 1000000), 'UTC')), 0)
ORDER BY (began, node, kind, crawl);

CREATE TABLE IF NOT EXISTS due (node FixedString(32), due_at Int64) ENGINE = ReplacingMergeTree ORDER BY node;
