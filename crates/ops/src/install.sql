-- asuser's signed claims: see docs/signed-claims.md. Only names of pg_catalog and this schema are used, whatever the caller's settings.
CREATE SCHEMA IF NOT EXISTS asuser;
REVOKE ALL ON SCHEMA asuser FROM PUBLIC;
GRANT USAGE ON SCHEMA asuser TO PUBLIC;

-- A key XOR HMAC's two pads (RFC 2104). Row security without a policy: even pg_read_all_data sees nothing.
CREATE TABLE IF NOT EXISTS asuser.key (
    id integer PRIMARY KEY CHECK (id > 0),
    ipad bytea NOT NULL CHECK (octet_length(ipad) = 64),
    opad bytea NOT NULL CHECK (octet_length(opad) = 64),
    made timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE asuser.key ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON asuser.key FROM PUBLIC;

-- Constant for a session, so IMMUTABLE: PL/pgSQL keeps it in the session's own plan, and the look-up (40 us) happens once a session instead
-- of once a transaction. Nobody else may call it, so no index or column can hold it.
CREATE OR REPLACE FUNCTION asuser.backend_start() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $function$
    SELECT (extract(epoch FROM a.backend_start) * 1000000)::bigint
    FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a
$function$;
REVOKE ALL ON FUNCTION asuser.backend_start() FROM PUBLIC;

-- Who asks, or NULL. PARALLEL RESTRICTED: a parallel worker is another process, and would see another pid.
CREATE OR REPLACE FUNCTION asuser.claims() RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    given CONSTANT text := current_setting('asuser.claims', true);
    started CONSTANT bigint := asuser.backend_start();
    key_id CONSTANT text := split_part(given, '.', 2);
    payload CONSTANT text := substr(given, length(key_id) + 70);
    start_ms CONSTANT numeric := extract(epoch FROM statement_timestamp()) * 1000;
    margin_ms CONSTANT numeric := extract(epoch FROM current_setting('statement_timeout')::interval) * 1000 + 5000;
    nul CONSTANT bytea := decode('00', 'hex');
    pads record;
    mac bytea;
    said jsonb;
    expires_ms numeric;
BEGIN
    IF given IS NULL OR left(given, 3) <> 'v1.' OR octet_length(given) > 65615 THEN
        RETURN NULL;
    END IF;
    SELECT k.ipad, k.opad INTO pads FROM asuser.key k WHERE k.id::text = key_id;
    IF NOT FOUND OR started IS NULL THEN
        RETURN NULL;
    END IF;
    mac := sha256(pads.opad || sha256(pads.ipad
        || convert_to('asuser.claims/1' || chr(10) || pg_backend_pid() || chr(10) || started || chr(10), 'UTF8')
        || convert_to(session_user::text, 'UTF8') || nul || convert_to(current_setting('role'), 'UTF8') || nul
        || convert_to(payload, 'UTF8')));
    -- Hashed once more under the key before they are compared, so that the time it takes tells nothing of the right one.
    IF sha256(pads.opad || convert_to(encode(mac, 'hex'), 'UTF8'))
        <> sha256(pads.opad || convert_to(split_part(given, '.', 3), 'UTF8')) THEN
        RETURN NULL;
    END IF;
    said := payload::jsonb;
    expires_ms := (said ->> 'exp_ms')::numeric;
    IF expires_ms > start_ms AND expires_ms <= start_ms + margin_ms THEN
        RETURN said;
    END IF;
    RETURN NULL;
END
$function$;
REVOKE ALL ON FUNCTION asuser.claims() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION asuser.claims() TO PUBLIC;
COMMENT ON FUNCTION asuser.claims() IS 'who asks, as asuser signed it for this session and role; NULL when forged, expired or absent';
