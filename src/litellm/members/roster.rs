//! `members_with_roles` in SQL: the one reading of what the column may hold.

/// The roster of team row `t` as a list. The column's default `{}` is an empty
/// list; LiteLLM's readers also take a JSON string that holds the list.
pub(in crate::litellm) const ROSTER: &str = "(CASE jsonb_typeof(t.members_with_roles) \
     WHEN 'array' THEN t.members_with_roles \
     WHEN 'string' THEN (t.members_with_roles #>> '{}')::jsonb \
     ELSE '[]'::jsonb END)";
