RESET ROLE;
-- Nobody is left behind as a member of the owner.
DO $finish$
BEGIN
    IF pg_catalog.current_setting('authaudit.member', true) = 'for now' THEN
        REVOKE @owner@ FROM CURRENT_USER;
        PERFORM pg_catalog.set_config('authaudit.member', '', false);
    END IF;
END
$finish$;
