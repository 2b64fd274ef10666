#include "projections/views/catalog_views.hpp"

#include "projections/worker_row.hpp"

namespace runledger::views {

namespace {

std::vector<std::string> texts_of(const std::string& json_text) {
  std::vector<std::string> out;
  auto parsed = json::parse(json_text);
  if (!parsed)
    return out;
  for (auto item : parsed->root().children())
    out.emplace_back(item.string());
  return out;
}

} // namespace

catalog_views::catalog_views(sqlite::connection& db, parking& parked)
    : parked_(parked),
      select_agent_(db, "SELECT at, workspace, slug, name, description, created_ms, updated_ms, "
                        "parked FROM agents WHERE id = ? ORDER BY at LIMIT 1"),
      select_versions_(db, "SELECT phase, created_ms, recipe_at FROM agent_versions "
                           "WHERE agent = ? ORDER BY version"),
      write_agent_(db, "INSERT OR REPLACE INTO agents(at, id, workspace, slug, name, description, "
                       "active_version, versions, created_ms, updated_ms, parked) "
                       "VALUES(?,?,?,?,?,?,?,?,?,?,?)"),
      write_version_(db, "INSERT OR REPLACE INTO agent_versions(agent, version, phase, created_ms, "
                         "recipe_at) VALUES(?,?,?,?,?)"),
      select_worker_(db, "SELECT at, node, slot, busy, agent_id, agent_version, layers, "
                         "last_reason, registered_ms, changed_ms, parked FROM workers "
                         "WHERE id = ? ORDER BY at LIMIT 1"),
      write_worker_(db, "INSERT OR REPLACE INTO workers(at, id, node, slot, busy, agent_id, "
                        "agent_version, layers, last_reason, registered_ms, changed_ms, parked, "
                        "workspace, queue, name, slots, leases, gone) "
                        "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,'','','',0,0,0)"),
      select_key_(db, "SELECT at, workspace, name, scopes, secret_hash, created_ms, expires_ms, "
                      "revoked_ms, parked FROM keys WHERE id = ? ORDER BY at LIMIT 1"),
      write_key_(db, "INSERT OR REPLACE INTO keys(at, id, workspace, name, scopes, secret_hash, "
                     "created_ms, expires_ms, revoked_ms, parked) VALUES(?,?,?,?,?,?,?,?,?,?)"),
      select_workspace_(db, "SELECT at, name, created_ms FROM workspaces WHERE id = ? "
                            "ORDER BY at LIMIT 1"),
      write_workspace_(db, "INSERT OR REPLACE INTO workspaces(at, id, name, created_ms) "
                           "VALUES(?,?,?,?)"),
      select_remote_(db, "SELECT at, workspace, queue, name, slots, leases, gone, last_reason, "
                         "registered_ms, changed_ms FROM workers WHERE id = ? AND queue <> '' "
                         "ORDER BY at LIMIT 1"),
      write_remote_(db, "INSERT OR REPLACE INTO workers(at, id, node, slot, busy, agent_id, "
                        "agent_version, layers, last_reason, registered_ms, changed_ms, parked, "
                        "workspace, queue, name, slots, leases, gone) "
                        "VALUES(?,?,'',0,0,'',0,'',?,?,?,0,?,?,?,?,?,?)") {}

// Entries: as the file has them, or new ones keyed by the record's place.

catalog_views::agent_entry& catalog_views::find_agent(const record& r) {
  auto [at, fresh] = agents_.try_emplace(r.event.stream.value);
  auto& e = at->second;
  if (!fresh)
    return e;
  e.at = place_at(r.partition, r.offset);
  finished end{select_agent_};
  if (!select_agent_.with(r.event.stream).row())
    return e;
  auto row = select_agent_.values();
  row.all(e.at, e.state.workspace, e.state.slug, e.state.title, e.state.description,
          e.state.created_at, e.state.updated_at, e.parked);
  e.stored = true;
  finished versions_end{select_versions_};
  for (select_versions_.with(e.at); select_versions_.row();) {
    auto version_row = select_versions_.values();
    auto& v = e.state.versions.emplace_back();
    version_row.all(v.at, v.created_at, e.recipes.emplace_back());
  }
  return e;
}

catalog_views::entry<worker::state>& catalog_views::find_worker(const record& r) {
  auto [at, fresh] = workers_.try_emplace(r.event.stream.value);
  auto& e = at->second;
  if (!fresh)
    return e;
  e.at = place_at(r.partition, r.offset);
  finished end{select_worker_};
  if (!select_worker_.with(r.event.stream).row())
    return e;
  std::string layers;
  auto row = select_worker_.values();
  row.all(e.at, e.state.node, e.state.slot, e.state.busy, e.state.agent, e.state.agent_version,
          layers, e.state.last_reason, e.state.registered_at, e.state.changed_at, e.parked);
  e.state.exists = true;
  e.state.layers = texts_of(layers);
  e.stored = true;
  return e;
}

catalog_views::entry<key::state>& catalog_views::find_key(const record& r) {
  auto [at, fresh] = keys_.try_emplace(r.event.stream.value);
  auto& e = at->second;
  if (!fresh)
    return e;
  e.at = place_at(r.partition, r.offset);
  finished end{select_key_};
  if (!select_key_.with(r.event.stream).row())
    return e;
  std::uint8_t scopes = 0;
  auto row = select_key_.values();
  row.all(e.at, e.state.workspace, e.state.title, scopes, e.state.secret_hash, e.state.created_at,
          e.state.expires_at, e.state.revoked_at, e.parked);
  e.state.scopes = key::scope_names(scopes);
  e.stored = true;
  return e;
}

catalog_views::entry<workspace::state>& catalog_views::find_workspace(const record& r) {
  auto [at, fresh] = workspaces_.try_emplace(r.event.stream.value);
  auto& e = at->second;
  if (!fresh)
    return e;
  e.at = place_at(r.partition, r.offset);
  finished end{select_workspace_};
  auto id = r.event.stream.value.substr(3); // After `ws/`.
  if (!select_workspace_.with(id).row())
    return e;
  auto row = select_workspace_.values();
  row.all(e.at, e.state.title, e.state.created_at);
  e.stored = true;
  return e;
}

// Folding.

void catalog_views::apply(const record& r, agent_entry& e, const agent::event& fact) {
  auto here = place_at(r.partition, r.offset);
  auto versions = e.state.versions.size();
  e.state = agent::evolve(std::move(e.state), fact, r.event.time, r.event.workspace);
  if (e.state.versions.size() > versions)
    e.recipes.push_back(here);
  if (const auto* changed = std::get_if<agent::draft_changed>(&fact))
    e.recipes[static_cast<std::size_t>(changed->version) - 1] = here;
  for (auto& v : e.state.versions)
    v.recipe = {}; // The ledger has it.
}

void catalog_views::apply(const record& r, entry<worker::state>& e, const worker::event& fact) {
  e.state = worker::evolve(std::move(e.state), fact, r.event.time);
}

void catalog_views::apply(const record& r, entry<key::state>& e, const key::event& fact) {
  e.state = key::evolve(std::move(e.state), fact, r.event.time, r.event.workspace);
}

void catalog_views::apply(const record& r, entry<workspace::state>& e,
                          const workspace::event& fact) {
  e.state = workspace::evolve(std::move(e.state), fact, r.event.time);
}

template <class Event, class Entry>
void catalog_views::fold_into(std::string_view view, const record& r, Entry& e) {
  if (e.parked || parked_.holds(view, r.event.stream.value))
    return;
  auto park = [&](std::string reason) {
    e.parked = true;
    parked_.park(view, r.event.stream.value, r, std::move(reason));
  };
  if (!r.damage.empty())
    return park(r.damage);
  auto fact = decode<Event>(r.event);
  if (!fact && fact.error() == decode_errc::unknown_type)
    return park("an event of the unknown type " + r.event.type);
  if (!fact)
    return park("the data of a " + r.event.type + " cannot be read");
  if (!fits(e.state, *fact))
    return park("a " + r.event.type + " does not fit what came before");
  apply(r, e, *fact);
}

void catalog_views::fold(const record& r, change_set& changes) {
  switch (kind_of(r.event.stream)) {
    case stream_kind::agent:
      fold_into<agent::event>("agents", r, find_agent(r));
      break;
    case stream_kind::worker:
      fold_into<worker::event>("workers", r, find_worker(r));
      break;
    case stream_kind::queue:
      fold_queue(r);
      break;
    case stream_kind::key:
      fold_into<key::event>("keys", r, find_key(r));
      changes.keys = true;
      break;
    case stream_kind::workspace:
      fold_into<workspace::event>("workspaces", r, find_workspace(r));
      changes.workspaces = true;
      break;
    default:
      break;
  }
}

// Queues: their events tell of their workers.

catalog_views::remote_worker& catalog_views::find_remote(const record& r, const worker_id& id) {
  auto [at, fresh] = remote_.try_emplace(id.value);
  auto& one = at->second;
  if (!fresh)
    return one;
  auto& row = one.row;
  row.id = id;
  row.at = place_at(r.partition, r.offset);
  row.registered_at = r.event.time;
  finished end{select_remote_};
  if (!select_remote_.with(id).row())
    return one;
  select_remote_.values().all(row.at, one.workspace, row.queue, row.name, row.slots, row.leases,
                              row.gone, row.last_reason, row.registered_at, row.changed_at);
  one.exists = true;
  return one;
}

/// False: it speaks of a worker that never joined.
bool catalog_views::apply(const record& r, const queue::event& fact) {
  auto& one = std::visit(
      [&](const auto& e) -> auto& { return find_remote(r, e.worker); }, fact);
  auto& row = one.row;
  row.changed_at = r.event.time;
  if (const auto* joined = std::get_if<queue::worker_joined>(&fact)) {
    one.exists = true;
    one.workspace = r.event.workspace;
    row.queue = r.event.stream.value.substr(r.event.stream.value.rfind('/') + 1);
    row.name = joined->title;
    row.slots = joined->slots;
    row.gone = false;
    row.last_reason.clear();
    return true;
  }
  if (!one.exists)
    return false;
  if (const auto* left = std::get_if<queue::worker_left>(&fact)) {
    row.gone = true;
    row.last_reason = left->reason;
  } else {
    row.leases += std::holds_alternative<queue::lease_granted>(fact) ? 1 : -1;
  }
  return true;
}

void catalog_views::fold_queue(const record& r) {
  const auto& stream = r.event.stream.value;
  if (parked_.holds("workers", stream))
    return;
  if (!r.damage.empty())
    return parked_.park("workers", stream, r, r.damage);
  auto fact = decode<queue::event>(r.event);
  if (!fact)
    return parked_.park("workers", stream, r, "the data of a " + r.event.type + " cannot be read");
  if (!apply(r, *fact))
    parked_.park("workers", stream, r, "a " + r.event.type + " does not fit what came before");
}

void catalog_views::write_remote(const remote_worker& one) {
  const auto& row = one.row;
  write_remote_
      .with(row.at, row.id, row.last_reason, row.registered_at, row.changed_at, one.workspace,
            row.queue, row.name, row.slots, row.leases, row.gone)
      .run();
}

// Writing. An entity whose first event was damaged has no row.

void catalog_views::write_agent(const std::string& id, const agent_entry& e) {
  const auto& s = e.state;
  write_agent_
      .with(e.at, id, s.workspace, s.slug, s.title, s.description, agent::active_version(s),
            s.versions.size(), s.created_at, s.updated_at, e.parked)
      .run();
  for (std::size_t i = 0; i < s.versions.size(); ++i)
    write_version_.with(e.at, i + 1, s.versions[i].at, s.versions[i].created_at, e.recipes[i])
        .run();
}

void catalog_views::write() {
  for (const auto& [id, e] : agents_)
    if (e.state.exists())
      write_agent(id, e);
  for (const auto& [id, e] : workers_) {
    const auto& s = e.state;
    if (s.exists)
      write_worker_
          .with(e.at, id, s.node, s.slot, s.busy, s.agent, s.agent_version, layers_json(s.layers),
                s.last_reason, s.registered_at, s.changed_at, e.parked)
          .run();
  }
  for (const auto& [id, one] : remote_)
    if (one.exists)
      write_remote(one);
  for (const auto& [id, e] : keys_) {
    const auto& s = e.state;
    if (s.exists())
      write_key_
          .with(e.at, id, s.workspace, s.title, key::scopes_from(s.scopes).value_or(0),
                s.secret_hash, s.created_at, s.expires_at, s.revoked_at, e.parked)
          .run();
  }
  for (const auto& [id, e] : workspaces_)
    if (e.state.exists())
      write_workspace_.with(e.at, std::string_view{id}.substr(3), e.state.title, e.state.created_at)
          .run();
}

void catalog_views::forget() {
  agents_.clear();
  workers_.clear();
  remote_.clear();
  keys_.clear();
  workspaces_.clear();
}

} // namespace runledger::views
