//! `members_with_roles` in SQL: the one reading of what the column may hold.

/// The roster of team row `t` as a list. The column's default `{}` is an empty
/// list; LiteLLM's readers also take a JSON string that holds the list. What is
/// no roster stays what it is, so that reading it as a list fails and nothing
/// is lost of it.
pub(in crate::litellm) const ROSTER: &str = "(CASE \
     WHEN jsonb_typeof(t.members_with_roles) = 'string' \
         THEN (t.members_with_roles #>> '{}')::jsonb \
     WHEN t.members_with_roles = '{}' THEN '[]'::jsonb \
     ELSE t.members_with_roles END)";
