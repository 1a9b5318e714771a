-- What a fleet of crawlers shares in PostgreSQL (11 or newer), version 1. All of it is in the schema `devp2p_crawl`.
--
-- Times are microseconds since 1970, UTC; node-IDs and ids of crawls are raw bytes. What others define as unsigned 64-bit numbers is numeric.
-- Facts: crawl, sighting, enr, visit. `node` is how each node stands now, as facts were written. `frontier` says who visits whom next.

CREATE SCHEMA devp2p_crawl;
SET LOCAL search_path = devp2p_crawl;

CREATE TABLE meta (version integer NOT NULL);
INSERT INTO meta VALUES (1);

CREATE TABLE client (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE capset (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, capabilities text[] NOT NULL UNIQUE);

CREATE TABLE crawl (
    id       bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    vantage  text NOT NULL,
    started  bigint NOT NULL,
    updated  bigint NOT NULL, -- the row with the later one replaces the other
    ended    bigint,
    program  text NOT NULL,
    settings text NOT NULL,
    counters text NOT NULL
);

CREATE TABLE node (
    id         bytea PRIMARY KEY CHECK (octet_length(id) = 32),
    public_key bytea CHECK (octet_length(public_key) = 64),
    first_seen bigint NOT NULL,
    last_seen  bigint NOT NULL,
    last_ok    bigint,
    attempts   integer NOT NULL DEFAULT 0, -- visits by UDP in a row that were not answered, in the order in which they were written
    ip         bytea NOT NULL DEFAULT '', -- where it was said to be last
    udp        integer NOT NULL DEFAULT 0,
    tcp        integer NOT NULL DEFAULT 0,
    placed_at  bigint NOT NULL DEFAULT 0,
    client     bigint REFERENCES client, -- of its latest Hello
    capset     bigint REFERENCES capset,
    said_at    bigint
);

CREATE TABLE sighting (
    node    bytea NOT NULL CHECK (octet_length(node) = 32),
    vantage text NOT NULL,
    ip      bytea NOT NULL CHECK (octet_length(ip) IN (0, 4, 16)),
    udp     integer NOT NULL,
    tcp     integer NOT NULL,
    first   bigint NOT NULL,
    last    bigint NOT NULL,
    PRIMARY KEY (node, vantage, ip, udp, tcp)
);

CREATE TABLE enr (
    node     bytea NOT NULL CHECK (octet_length(node) = 32),
    sequence numeric(20) NOT NULL,
    raw      bytea NOT NULL,
    seen     bigint NOT NULL,
    PRIMARY KEY (node, sequence, raw)
);

CREATE TABLE visit (
    node        bytea NOT NULL CHECK (octet_length(node) = 32),
    kind        smallint NOT NULL,
    crawl       bytea NOT NULL CHECK (octet_length(crawl) = 16),
    outcome     smallint NOT NULL,
    began       bigint NOT NULL,
    ended       bigint NOT NULL,
    rtt         bigint,
    asked       bigint NOT NULL,
    told        bigint,
    ip          bytea NOT NULL CHECK (octet_length(ip) IN (0, 4, 16)),
    port        integer NOT NULL,
    capset      bigint, -- NULL: the node said nothing, and all below is NULL
    client      bigint,
    listen_port numeric(20),
    reason      numeric(20),
    eth_version numeric(20), -- NULL: no Status came, and all below is NULL
    network_id  numeric(20),
    genesis     bytea,
    fork_hash   bytea,
    fork_next   numeric(20),
    head        bytea,
    head_number numeric(20),
    PRIMARY KEY (began, node, kind, crawl)
) PARTITION BY RANGE (began);
CREATE TABLE visit_odd PARTITION OF visit DEFAULT; -- of clocks that are far wrong
CREATE INDEX visit_node ON visit (node, began);

CREATE TABLE frontier (
    node        bytea PRIMARY KEY CHECK (octet_length(node) = 32),
    due_at      bigint NOT NULL,
    lease_by    uuid, -- of a crawler that runs
    lease_until timestamptz -- by the clock of this server
);
CREATE INDEX frontier_due ON frontier (due_at);
CREATE INDEX frontier_lease ON frontier (lease_by) WHERE lease_by IS NOT NULL;

-- The partition of the month in which a time lies. Rows of it that are in `visit_odd` go there.
CREATE FUNCTION make_month(at bigint) RETURNS void LANGUAGE plpgsql SET search_path = devp2p_crawl AS $$
DECLARE
    month date := date_trunc('month', to_timestamp(at / 1000000) AT TIME ZONE 'UTC');
    low bigint := extract(epoch FROM month)::bigint * 1000000;
    high bigint := extract(epoch FROM month + interval '1 month')::bigint * 1000000;
    name text := 'visit_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass('devp2p_crawl.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    LOCK TABLE meta IN EXCLUSIVE MODE; -- one at a time
    IF to_regclass('devp2p_crawl.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE visit INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('WITH moved AS (DELETE FROM visit_odd WHERE began >= %s AND began < %s RETURNING *) INSERT INTO %I SELECT * FROM moved',
        low, high, name);
    EXECUTE format('ALTER TABLE visit ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, low, high);
END $$;
