#include "projections/queries/agents.hpp"

#include "projections/reader_internals.hpp"

namespace runledger::views {

namespace {

#define RUNLEDGER_AGENT_SELECT                                                                     \
  "SELECT at, id, workspace, slug, name, description, active_version, versions, created_ms, "      \
  "updated_ms, parked FROM agents "

void read_agent(const query& q, agent_row& a) {
  q.values().all(a.at, a.id, a.workspace, a.slug, a.name, a.description, a.active_version,
                 a.versions, a.created_at, a.updated_at, a.parked);
}

/// The statement that finds an agent by what was given: a slug has no underscore, an id has one.
query& by_ref(view_reader::internals& in, std::string_view id_or_slug) {
  if (id_or_slug.find('_') != std::string_view::npos)
    return in.use(RUNLEDGER_AGENT_SELECT "WHERE id = ?2 AND workspace = ?1 ORDER BY at LIMIT 1");
  return in.use(RUNLEDGER_AGENT_SELECT "WHERE workspace = ?1 AND slug = ?2 ORDER BY at LIMIT 1");
}

struct stored_version {
  version_row row;
  place recipe_at = place::none;
};

void read_version(const query& q, const agent_row& agent, stored_version& v) {
  auto phase = agent::version_phase::draft;
  q.values().all(v.row.version, phase, v.row.created_at, v.recipe_at);
  v.row.agent = agent.id;
  v.row.status = agent::to_string(phase);
}

std::string recipe_of(const view_reader::internals& in, place at) {
  auto record = in.record_at(at);
  auto corrupt = [&](std::string why) {
    return read_error{read_error::kind::corrupt, record->event.stream, record->event.seq,
                      record->offset, std::move(why)};
  };
  if (!record->damage.empty())
    throw corrupt(record->damage);
  auto fact = decode<agent::event>(record->event);
  if (!fact)
    throw corrupt("the data of a " + record->event.type + " cannot be read");
  return std::visit(
      overloaded{[&](const agent::created& f) { return in.content_of(f.recipe, *record); },
                 [&](const agent::version_created& f) { return in.content_of(f.recipe, *record); },
                 [&](const agent::draft_changed& f) { return in.content_of(f.recipe, *record); },
                 [](const auto&) { return std::string{}; }},
      *fact);
}

} // namespace

answer<std::optional<agent_view>> agent_by_ref(view_reader& reader, const workspace_id& workspace,
                                               std::string_view id_or_slug) {
  return ask<std::optional<agent_view>>(reader, [&](auto& in) -> std::optional<agent_view> {
    auto& found = by_ref(in, id_or_slug);
    finished found_end{found}; // Until then all statements see the same commit.
    if (!found.with(workspace, id_or_slug).row())
      return std::nullopt;
    agent_view out;
    read_agent(found, out.agent);
    if (out.agent.parked)
      in.refuse_parked("agents", out.agent.id.value);
    auto& q = in.use("SELECT version, phase, created_ms, recipe_at FROM agent_versions "
                     "WHERE agent = ? ORDER BY version");
    finished end{q};
    for (q.with(out.agent.at); q.row();) {
      stored_version v;
      read_version(q, out.agent, v);
      out.versions.push_back(std::move(v.row));
    }
    return out;
  });
}

answer<page<agent_row>> list_agents(view_reader& reader, const workspace_id& workspace,
                                    std::size_t limit, const std::optional<list_cursor>& after) {
  return ask<page<agent_row>>(reader, [&](auto& in) {
    auto& q = in.use(RUNLEDGER_AGENT_SELECT
                     "WHERE workspace = ? AND (created_ms, at) < (?, ?) AND parked = 0 "
                     "ORDER BY created_ms DESC, at DESC LIMIT ?");
    auto from = after.value_or(from_the_newest);
    page<agent_row> out;
    finished end{q};
    for (q.with(workspace, from.created_ms, from.at, limit + 1); q.row();)
      read_agent(q, out.items.emplace_back());
    cut(out, limit, [](const agent_row& a) {
      return list_cursor{to_ms(a.created_at), static_cast<std::int64_t>(a.at)};
    });
    return out;
  });
}

answer<std::optional<version_row>> agent_version(view_reader& reader, const agent_row& agent,
                                                 std::int64_t version) {
  return ask<std::optional<version_row>>(reader, [&](auto& in) -> std::optional<version_row> {
    stored_version v;
    {
      auto& q = in.use("SELECT version, phase, created_ms, recipe_at FROM agent_versions "
                       "WHERE agent = ? AND version = ?");
      finished end{q};
      if (!q.with(agent.at, version).row())
        return std::nullopt;
      read_version(q, agent, v);
    }
    v.row.recipe = recipe_of(in, v.recipe_at);
    return std::move(v.row);
  });
}

answer<page<version_row>> list_versions(view_reader& reader, const agent_row& agent,
                                        std::size_t limit,
                                        const std::optional<list_cursor>& after) {
  return ask<page<version_row>>(reader, [&](auto& in) {
    std::vector<stored_version> rows;
    {
      auto& q = in.use("SELECT version, phase, created_ms, recipe_at FROM agent_versions "
                       "WHERE agent = ? AND version < ? ORDER BY version DESC LIMIT ?");
      finished end{q};
      for (q.with(agent.at, after.value_or(from_the_newest).at, limit + 1); q.row();)
        read_version(q, agent, rows.emplace_back());
    }
    page<version_row> out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i < limit)
        rows[i].row.recipe = recipe_of(in, rows[i].recipe_at);
      out.items.push_back(std::move(rows[i].row));
    }
    cut(out, limit, [](const version_row& v) { return list_cursor{0, v.version}; });
    return out;
  });
}

} // namespace runledger::views

#undef RUNLEDGER_AGENT_SELECT
