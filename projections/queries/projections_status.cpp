#include "projections/queries/projections_status.hpp"

#include "projections/reader_internals.hpp"
#include "projections/view_names.hpp"

#include <algorithm>

namespace runledger::views {

answer<std::vector<projection_status>> projections_status(view_reader& reader) {
  return ask<std::vector<projection_status>>(reader, [](auto& in) {
    snapshot same{in};
    projection_status all;
    std::int64_t end = 0;
    for (std::uint32_t p = 0; p < in.log.partition_count(); ++p)
      end += in.log.end_offset(p);
    {
      auto& q = in.use("SELECT coalesce(sum(next), 0) FROM positions");
      finished done{q};
      q.with().row();
      all.position = q.values().integer();
    }
    all.lag = std::max<std::int64_t>(0, end - all.position);
    all.state = all.lag == 0 ? "live" : "behind";
    std::vector<projection_status> out;
    for (const auto& view : all_views()) {
      out.push_back(all);
      out.back().name = view.name;
    }
    auto& q = in.use("SELECT entity, view, stream, seq, at, reason FROM parked "
                     "ORDER BY view, entity");
    finished done{q};
    for (q.with(); q.row();) {
      parked_row one;
      q.values().all(one.entity, one.view, one.stream, one.seq, one.at, one.reason);
      auto view = std::ranges::find(out, one.view, &projection_status::name);
      if (view != out.end())
        view->parked.push_back(std::move(one));
    }
    return out;
  });
}

} // namespace runledger::views
