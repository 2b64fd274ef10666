#include "projections/queries/session_timeline.hpp"

#include "events/timeline.hpp"
#include "projections/reader_internals.hpp"
#include "projections/timeline_chunk.hpp"

#include <algorithm>

namespace runledger::views {

namespace {

/// A page ends after the item with which it holds so much.
constexpr std::size_t page_bytes = std::size_t{1} << 20;

/// Which items of a session are asked for.
struct range {
  place session = place::none;
  std::uint64_t since = 0; ///< Items after it.
  std::uint64_t until = UINT64_MAX;
  std::uint64_t turn = 0; ///< 0: all.
  bool signal_only = false;
  std::size_t limit = 0;
};

struct found_item {
  std::uint64_t seq = 0;
  chunk_item item;
};

/// Finds the items; sets how far was looked and whether there is more.
std::vector<found_item> find_items(view_reader::internals& in, const range& ask,
                                   timeline_page& out) {
  std::vector<found_item> found;
  auto& q = in.use("SELECT chunk, items FROM timeline WHERE session = ? AND chunk >= ? "
                   "ORDER BY chunk");
  finished end{q};
  out.scanned = ask.since;
  for (q.with(ask.session, chunk_of(ask.since + 1)); q.row();) {
    auto row = q.values();
    auto seq = first_seq_of(row.natural());
    auto bytes = row.blob();
    chunk_walker walk{bytes, offset_of(ask.session)};
    for (auto item = walk.next(); item; item = walk.next(), ++seq) {
      if (seq <= ask.since)
        continue;
      if (seq > ask.until || found.size() == ask.limit) {
        out.at_end = seq > ask.until;
        return found;
      }
      out.scanned = seq;
      bool fits = (ask.turn == 0 || item->turn == ask.turn)
                  && (!ask.signal_only || (item->flags & chunk_item::signal) != 0);
      if (fits)
        found.push_back({seq, *item});
    }
  }
  out.at_end = true;
  return found;
}

/// Reads the records of items: those that lie close together with one call.
std::vector<record_ptr> read_records(const event_log& log, std::uint32_t partition,
                                     const std::vector<found_item>& items) {
  constexpr std::int64_t close_by = 16;
  std::vector<record_ptr> out;
  std::size_t i = 0;
  while (i < items.size()) {
    auto last = i;
    while (last + 1 < items.size()
           && items[last + 1].item.offset - items[last].item.offset <= close_by)
      ++last;
    auto from = items[i].item.offset;
    while (i <= last) {
      auto span = static_cast<std::size_t>(items[last].item.offset - from) + 1;
      auto records = log.read_partition(partition, from, span);
      if (!records)
        throw records.error();
      for (const auto& r : *records)
        if (i <= last && r->offset == items[i].item.offset) {
          out.push_back(r);
          ++i;
        }
      if (records->empty() || records->back()->offset + 1 <= from)
        break;
      from = records->back()->offset + 1; // The log cut the answer short.
    }
    if (i <= last)
      throw read_error{read_error::kind::corrupt,
                       {},
                       0,
                       items[i].item.offset,
                       "the ledger has no record at this offset"};
  }
  return out;
}

void render(view_reader::internals& in, const range& ask, const std::vector<found_item>& items,
            timeline_page& out) {
  auto records = read_records(in.log, partition_of(ask.session), items);
  auto load = [&](const blob_ref& ref) { return in.blob(ref); };
  out.items.reserve(items.size());
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (bytes >= page_bytes) {
      out.scanned = out.items.back().seq;
      out.at_end = false;
      return;
    }
    auto& entry = out.items.emplace_back();
    entry.seq = items[i].seq;
    entry.ends_run = (items[i].item.flags & chunk_item::ends_run) != 0;
    entry.ends_session = (items[i].item.flags & chunk_item::ends_session) != 0;
    auto item = item_of(*records[i]);
    append_item_json(entry.json, *records[i], item, entry.seq, load);
    entry.type = std::move(item.type);
    bytes += entry.json.size();
  }
}

answer<std::optional<timeline_page>> items_of_run(view_reader& reader,
                                                  const workspace_id& workspace,
                                                  std::string_view run, range asked) {
  return ask<std::optional<timeline_page>>(reader, [&](auto& in) -> std::optional<timeline_page> {
    timeline_page out;
    std::vector<found_item> items;
    {
      auto& q = in.use("SELECT session, turn, workspace, first_seq, last_seq FROM runs "
                       "WHERE id = ? ORDER BY at LIMIT 1");
      finished end{q}; // Until then all statements see the same commit.
      if (!q.with(run).row())
        return std::nullopt;
      std::string owner;
      std::uint64_t first = 0, last = 0;
      q.values().all(asked.session, asked.turn, owner, first, last);
      if (owner != workspace.value)
        return std::nullopt;
      if (first > 0)
        asked.since = std::max(asked.since, first - 1);
      if (last > 0)
        asked.until = last;
      items = find_items(in, asked, out);
    }
    render(in, asked, items, out);
    return out;
  });
}

} // namespace

answer<std::optional<timeline_page>> session_timeline(view_reader& reader,
                                                      const workspace_id& workspace,
                                                      std::string_view session, std::uint64_t since,
                                                      std::size_t limit) {
  return ask<std::optional<timeline_page>>(reader, [&](auto& in) -> std::optional<timeline_page> {
    range asked;
    asked.since = since;
    asked.limit = limit;
    timeline_page out;
    std::vector<found_item> items;
    {
      auto& q = in.use("SELECT at, workspace FROM sessions WHERE id = ? ORDER BY at LIMIT 1");
      finished end{q}; // Until then all statements see the same commit.
      if (!q.with(session).row())
        return std::nullopt;
      std::string owner;
      q.values().all(asked.session, owner);
      if (owner != workspace.value)
        return std::nullopt;
      items = find_items(in, asked, out);
    }
    render(in, asked, items, out);
    return out;
  });
}

answer<std::optional<timeline_page>> run_log_events(view_reader& reader,
                                                    const workspace_id& workspace,
                                                    std::string_view run, std::uint64_t since,
                                                    std::size_t limit) {
  range asked;
  asked.since = since;
  asked.limit = limit;
  asked.signal_only = true;
  return items_of_run(reader, workspace, run, asked);
}

answer<std::optional<timeline_page>> run_timeline(view_reader& reader,
                                                  const workspace_id& workspace,
                                                  std::string_view run, std::uint64_t since,
                                                  std::size_t limit) {
  range asked;
  asked.since = since;
  asked.limit = limit;
  return items_of_run(reader, workspace, run, asked);
}

} // namespace runledger::views
