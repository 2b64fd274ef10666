#include "projections/queries/keys.hpp"

#include "projections/reader_internals.hpp"

namespace runledger::views {

namespace {

#define RUNLEDGER_KEY_SELECT                                                                       \
  "SELECT at, id, workspace, name, scopes, secret_hash, created_ms, expires_ms, revoked_ms, "      \
  "parked FROM keys "

void read_key(const query& q, key_row& k) {
  q.values().all(k.at, k.id, k.workspace, k.name, k.scopes, k.secret_hash, k.created_at,
                 k.expires_at, k.revoked_at, k.parked);
}

std::optional<key_row> one(query& q) {
  if (!q.row())
    return std::nullopt;
  key_row out;
  read_key(q, out);
  return out;
}

} // namespace

answer<page<key_row>> list_keys(view_reader& reader, std::size_t limit,
                                const std::optional<list_cursor>& after) {
  return ask<page<key_row>>(reader, [&](auto& in) {
    auto& q = in.use(RUNLEDGER_KEY_SELECT "WHERE revoked_ms IS NULL AND (created_ms, at) < (?, ?) "
                                          "ORDER BY created_ms DESC, at DESC LIMIT ?");
    auto from = after.value_or(from_the_newest);
    page<key_row> out;
    finished end{q};
    for (q.with(from.created_ms, from.at, limit + 1); q.row();)
      read_key(q, out.items.emplace_back());
    cut(out, limit, [](const key_row& k) {
      return list_cursor{to_ms(k.created_at), static_cast<std::int64_t>(k.at)};
    });
    return out;
  });
}

answer<std::vector<key_row>> all_valid_keys(view_reader& reader) {
  return ask<std::vector<key_row>>(reader, [](auto& in) {
    auto& q = in.use(RUNLEDGER_KEY_SELECT "WHERE revoked_ms IS NULL AND parked = 0 ORDER BY at");
    std::vector<key_row> out;
    finished end{q};
    for (q.with(); q.row();)
      read_key(q, out.emplace_back());
    return out;
  });
}

answer<std::optional<key_row>> key_by_id(view_reader& reader, std::string_view id) {
  return ask<std::optional<key_row>>(reader, [&](auto& in) {
    auto& q = in.use(RUNLEDGER_KEY_SELECT "WHERE id = ? ORDER BY at LIMIT 1");
    finished end{q};
    return one(q.with(id));
  });
}

answer<std::optional<key_row>> key_by_secret(view_reader& reader, const digest& secret_hash) {
  return ask<std::optional<key_row>>(reader, [&](auto& in) {
    auto& q = in.use(RUNLEDGER_KEY_SELECT "WHERE secret_hash = ? AND revoked_ms IS NULL "
                                          "AND parked = 0 ORDER BY at LIMIT 1");
    finished end{q};
    return one(q.with(secret_hash));
  });
}

} // namespace runledger::views

#undef RUNLEDGER_KEY_SELECT
