//! Counting for a shared account and for a person.

use asuser_testkit::Version;

use super::support::{company, facts, operator, sound};
use crate::doctor::{Count, Seen, count};

#[tokio::test]
async fn a_shared_account_sees_all_and_a_person_their_own() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    database.execute("CREATE TABLE public.secret (id int); INSERT INTO public.secret VALUES (1), (2)");
    database.execute("CREATE TABLE public.odd (id int); ALTER TABLE public.odd ENABLE ROW LEVEL SECURITY; GRANT SELECT ON public.odd TO bob; CREATE FUNCTION public.f() RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE POLICY p ON public.odd USING (public.f())");
    let mut operator = operator(&database).await;
    let counts = count(&mut operator, &facts(), Some("bob")).await.unwrap();
    let of = |name: &str| counts.tables.iter().find(|count| count.table == name).unwrap();
    let expected = Count { table: "public.orders".to_owned(), total: 3, estimated: false, seen: Some(Seen::Rows(2)) };
    assert_eq!(of("public.orders"), &expected);
    assert_eq!(of("public.secret").seen, Some(Seen::Denied));
    assert!(matches!(&of("public.odd").seen, Some(Seen::Unknown(why)) if why.contains("public.f()")), "{counts:?}");
    let text = counts.to_string();
    assert!(text.contains("a shared account  bob") && text.contains("denied"), "{text}");
    // What was counted as bob leaves nothing behind.
    let who = operator.rows("asking", "SELECT current_user, session_user", &[]).await.unwrap();
    assert_eq!(who[0].get(0), Some("postgres"));
    assert!(count(&mut operator, &facts(), Some("nobody")).await.unwrap_err().to_string().contains("no role"));
    assert!(count(&mut operator, &facts(), None).await.unwrap().tables.iter().all(|count| count.seen.is_none()));
}
