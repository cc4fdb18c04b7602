//! Numbers of things, in English.

/// "1 team membership", "2 team memberships", "0 retries": the thing is given in
/// the singular, with `_` for a blank.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let thing = thing.replace('_', " ");
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {}", plural(&thing))
    }
}

/// "team", for "teams": the names of counts in reports are plural.
pub(super) fn singular(things: &str) -> &str {
    things.strip_suffix('s').unwrap_or(things)
}

fn plural(thing: &str) -> String {
    match thing.strip_suffix("ry") {
        Some(stem) => format!("{stem}ries"),
        None => format!("{thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_nothing_else_is() {
        assert_eq!(counted(0, "team"), "0 teams");
        assert_eq!(counted(1, "team_membership"), "1 team membership");
        assert_eq!(counted(2, "team_membership"), "2 team memberships");
        assert_eq!(counted(1, "retry"), "1 retry");
        assert_eq!(counted(3, "retry"), "3 retries");
        assert_eq!(counted(1, "app_role"), "1 app role");
        assert_eq!(singular("organizations"), "organization");
    }
}
