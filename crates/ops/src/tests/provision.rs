//! Plan, apply, plan again, undo.

use std::sync::Arc;

use asuser_testkit::{PgDatabase, PostgresServer, Version};

use super::support::{operator, sound};
use crate::{ProvisionPlan, apply, plan};

const WANTED: &str = r#"
    login = "new_login"
    users_group = "new_users"
    [[group]]
    role = "new_sales"
    read = ["public.orders", "public.Odd \"name"]
    [[group]]
    role = "new_support"
    read = ["public.orders"]
    [[person]]
    role = "new_ann"
    groups = ["new_sales", "new_support"]
    [[person]]
    role = "new_bo\"b"
"#;

fn wanted() -> ProvisionPlan {
    toml::from_str(WANTED).unwrap()
}

fn company(version: Version) -> Option<(Arc<PostgresServer>, PgDatabase)> {
    let server = super::support::company(version)?;
    let database = sound(&server);
    database.execute("CREATE TABLE public.\"Odd \"\"name\" (id int)");
    Some((server, database))
}

/// Everything that provisioning may touch.
fn state(database: &PgDatabase) -> Vec<Vec<Option<String>>> {
    let options = if database.server().major() >= 16 { "m.inherit_option, m.set_option" } else { "NULL, NULL" };
    let mut all = database.query("SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls FROM pg_roles ORDER BY 1");
    all.extend(database.query(&format!("SELECT r.rolname, u.rolname, g.rolname, m.admin_option, {options} FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member JOIN pg_roles g ON g.oid = m.grantor ORDER BY 1, 2, 3")));
    all.extend(database.query("SELECT c.relname, a.grantee::regrole::text, a.privilege_type FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1, 2, 3"));
    all.extend(database.query("SELECT n.nspname, a.grantee::regrole::text, a.privilege_type FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a WHERE n.nspname = 'public' ORDER BY 1, 2, 3"));
    all
}

async fn there_and_back(version: Version, prepare: &str, expected: &[&str]) {
    let Some((_server, database)) = company(version) else { return };
    database.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC");
    super::support::lines(prepare).for_each(|sql| database.execute(sql));
    let before = state(&database);
    let mut operator = operator(&database).await;
    let first = plan(&mut operator, &wanted()).await.unwrap();
    let script = first.script();
    for part in expected {
        assert!(script.contains(part), "{part}: {script}");
    }
    assert!(
        !script.replace("NOSUPERUSER", "").contains("SUPERUSER")
            && !script.replace("NOBYPASSRLS", "").contains("BYPASSRLS")
    );
    assert_eq!(state(&database), before, "a plan changes nothing");
    apply(&mut operator, &first).await.unwrap();
    let again = plan(&mut operator, &wanted()).await.unwrap();
    assert!(again.is_empty(), "{}", again.script());
    assert_ne!(state(&database), before);
    // As an operator would, from the file.
    operator.run("undoing", &first.undo_script()).await.unwrap();
    assert_eq!(state(&database), before, "{}", first.undo_script());
    assert_eq!(plan(&mut operator, &wanted()).await.unwrap(), first);
}

#[tokio::test]
async fn a_plan_is_applied_once_and_taken_back_exactly() {
    there_and_back(
        Version::Fifteen,
        "",
        &[
            "CREATE ROLE \"new_login\" LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS",
            "CREATE ROLE \"new_bo\"\"b\" LOGIN INHERIT",
            "GRANT \"new_ann\" TO \"new_login\";",
            "GRANT SELECT ON \"public\".\"Odd \"\"name\" TO \"new_sales\"",
            "GRANT USAGE ON SCHEMA \"public\" TO \"new_support\"",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_same_on_18_with_options() {
    there_and_back(
        Version::Eighteen,
        "",
        &[
            "GRANT \"new_ann\" TO \"new_login\" WITH INHERIT FALSE, SET TRUE, ADMIN FALSE;",
            "GRANT \"new_sales\" TO \"new_ann\" WITH INHERIT TRUE, SET FALSE, ADMIN FALSE;",
            "GRANT \"new_users\" TO \"new_ann\" WITH INHERIT FALSE, SET FALSE, ADMIN FALSE;",
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_there_in_part_is_completed() {
    let prepare = "CREATE ROLE new_login NOLOGIN INHERIT\nCREATE ROLE new_ann NOLOGIN\nGRANT new_ann TO new_login WITH ADMIN OPTION\nCREATE ROLE new_sales\nGRANT SELECT ON public.orders TO new_sales";
    // Who was locked out stays locked out: nothing makes new_ann log in.
    let expected = ["ALTER ROLE \"new_login\" NOINHERIT", "ALTER ROLE \"new_login\" LOGIN"];
    there_and_back(
        Version::Fifteen,
        prepare,
        &[&expected[..], &["REVOKE ADMIN OPTION FOR \"new_ann\" FROM \"new_login\""]].concat(),
    )
    .await;
    there_and_back(
        Version::Eighteen,
        prepare,
        &[
            &expected[..],
            &["GRANT \"new_ann\" TO \"new_login\" WITH INHERIT FALSE, SET TRUE, ADMIN FALSE GRANTED BY \"postgres\""],
        ]
        .concat(),
    )
    .await;
}

#[tokio::test]
async fn a_mapping_of_groups_alone_lets_the_login_become_them() {
    let Some((_server, database)) = company(Version::Fifteen) else { return };
    let mut groups = wanted();
    groups.person.clear();
    groups.users_group = None;
    let mut operator = operator(&database).await;
    let script = plan(&mut operator, &groups).await.unwrap().script();
    assert!(script.contains("GRANT \"new_sales\" TO \"new_login\"") && !script.contains("new_ann"), "{script}");
}

#[tokio::test]
async fn what_must_not_be_is_refused() {
    let Some((server, database)) = company(Version::Fifteen) else { return };
    server.execute("CREATE ROLE boss BYPASSRLS; CREATE ROLE maker CREATEROLE");
    let mut operator = operator(&database).await;
    for (text, word) in [
        ("login = \"postgres\"", "cannot be the name"),
        ("login = \"pg_monitor\"", "cannot be the name"),
        ("[[group]]\nrole = \"none\"", "cannot be the name"),
        ("[[group]]\nrole = \"boss\"", "BYPASSRLS"),
        ("[[person]]\nrole = \"maker\"", "CREATEROLE"),
        ("login = \"x\"\n[[group]]\nrole = \"x\"", "twice"),
        ("[[person]]\nrole = \"x\"\ngroups = [\"y\"]", "no [[group]]"),
        ("[[group]]\nrole = \"x\"\nread = [\"public.missing\"]", "public.missing"),
        ("[[group]]\nrole = \"x\"\nread = [\"pg_catalog.pg_authid\"]", "pg_authid"),
        ("[[group]]\nrole = \"x\"\nread = [\"orders\"]", "schema.table"),
    ] {
        let message = plan(&mut operator, &toml::from_str(text).unwrap()).await.unwrap_err().to_string();
        assert!(message.contains(word), "{text}: {message}");
    }
    assert!(toml::from_str::<ProvisionPlan>("superuser = true").is_err());
}

#[tokio::test]
async fn a_plan_that_fails_half_way_changes_nothing() {
    let Some((server, database)) = company(Version::Fifteen) else { return };
    let mut operator = operator(&database).await;
    let made = plan(&mut operator, &wanted()).await.unwrap();
    // Somebody is faster.
    server.execute("CREATE ROLE new_ann");
    let before = state(&database);
    assert!(apply(&mut operator, &made).await.is_err());
    assert_eq!(state(&database), before);
    let made = plan(&mut operator, &wanted()).await.unwrap();
    apply(&mut operator, &made).await.unwrap();
}
