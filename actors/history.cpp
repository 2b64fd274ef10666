#include "actors/history.hpp"

#include "actors/harness/artifact.hpp"
#include "events/timeline.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

namespace runledger {

namespace {

constexpr std::size_t history_page_events = 1000;

result<std::vector<record_ptr>, read_error> whole_stream(const event_log& log,
                                                         const stream_id& stream) {
  std::vector<record_ptr> out;
  for (;;) {
    auto records = log.read_stream(stream, out.size() + 1, history_page_events);
    if (!records)
      return records.error();
    out.insert(out.end(), records->begin(), records->end());
    if (records->size() < history_page_events)
      return out;
  }
}

/// The file for a blob inside the work folder: a string's text, anything else as JSON. Its digest
/// is that of the file, which for a text is not the blob's.
result<harness::blob_descriptor, failure> write_file(const blob_ref& ref, const blob_store& blobs,
                                                     const std::string& work_dir,
                                                     std::string pointer) {
  const auto json = blobs.get(ref.id);
  if (!json && json.error() == blob_errc::unavailable) // Late, or out of reach: it is not lost.
    return failure{"blob_unavailable", "The content of `" + pointer + "`, sha256:" + to_hex(ref.id)
                                           + ", cannot be had from the blob store now."};
  if (!json)
    return failure{"ledger_corrupt", "The content of `" + pointer + "`, sha256:" + to_hex(ref.id)
                                         + ", cannot be read from the blob store."};
  harness::blob_descriptor out;
  out.pointer = std::move(pointer);
  auto parsed = json::parse(*json);
  bool text = parsed && parsed->root().is_string();
  out.media_type = text ? "text/plain" : "application/json";
  const std::string content = text ? std::string{parsed->root().string()} : *json;
  const auto hex = to_hex(sha256(content));
  out.digest = "sha256:" + hex;
  out.path = ".runledger/blobs/" + hex;
  out.size = content.size();
  if (auto stored = harness::store_work_file(work_dir, out.path, content); !stored)
    return failure{"work_folder_unwritable", "The file for `" + out.pointer
                                                 + "` could not be written into the work folder "
                                                 + work_dir + ": " + stored.error().message};
  return out;
}

failure unreadable(const read_error& e) {
  return {"ledger_corrupt", e.detail};
}

bool always_left_out(std::string_view type) {
  return type == "log" || type == "usage";
}

} // namespace

result<std::string, failure> as_frame_member(const payload& p, const blob_store& blobs,
                                             const std::string& work_dir, std::string_view pointer,
                                             std::vector<harness::blob_descriptor>& files) {
  using member = result<std::string, failure>; // A failure can be made of a string too.
  if (!p.blob)
    return member{boost::system::in_place_value, p.json};
  auto file = write_file(*p.blob, blobs, work_dir, std::string{pointer});
  if (!file)
    return file.error();
  files.push_back(std::move(*file));
  return member{boost::system::in_place_value};
}

result<std::vector<harness::history_item>, failure>
history_of(const std::vector<record_ptr>& records, const blob_store& blobs, const run_id& run,
           const std::string& work_dir) {
  std::vector<std::pair<record_ptr, std::uint64_t>> placed;
  std::size_t own_from = 0; // Items of this run before its latest checkpoint are left out.
  std::uint64_t seq = 0;
  for (const auto& r : records) {
    if (place_of(*r) == timeline_verdict::no_place)
      continue;
    placed.emplace_back(r, ++seq);
    if (r->event.stream.value == run.value
        && r->event.type == full_type(run::checkpoint_saved::name, 1))
      own_from = placed.size() - 1;
  }
  std::vector<harness::history_item> out;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const auto& [r, number] = placed[i];
    if (place_of(*r) != timeline_verdict::item)
      continue;
    auto item = item_of(*r);
    if (always_left_out(item.type) || (i < own_from && item.run == run))
      continue;
    harness::history_item line;
    append_item_json(line.json, *r, item, number, nullptr);
    for (const auto& [name, ref] : item.blobs)
      if (auto file = write_file(ref, blobs, work_dir, "/data/" + name); file)
        line.blobs.push_back(std::move(*file));
      else
        return file.error();
    out.push_back(std::move(line));
  }
  return out;
}

result<std::vector<harness::history_item>, failure>
read_history(const event_log& log, const blob_store& blobs, const session_id& session,
             const run_id& run, const std::string& work_dir) {
  auto records = whole_stream(log, stream_of(session));
  if (!records)
    return unreadable(records.error());
  std::vector<run_id> runs;
  for (const auto& r : *records)
    if (auto fact = decode<session::event>(r->event); fact)
      if (const auto* accepted = std::get_if<session::turn_accepted>(&*fact))
        runs.push_back(accepted->run);
  for (const auto& one : runs) {
    auto more = whole_stream(log, stream_of(one));
    if (!more)
      return unreadable(more.error());
    records->insert(records->end(), more->begin(), more->end());
  }
  std::ranges::sort(*records, {}, [](const record_ptr& r) { return r->offset; });
  return history_of(*records, blobs, run, work_dir);
}

result<std::string, failure> file_lines(const harness::held_lease& lease,
                                        const std::string& work_dir,
                                        const std::vector<harness::blob_descriptor>& files) {
  std::string lines;
  for (const auto& one : files) {
    std::ifstream file{work_dir + '/' + one.path, std::ios::binary};
    if (!file)
      return failure{"work_folder_unwritable", one.path + " of the work folder cannot be read."};
    const std::string content{std::istreambuf_iterator<char>{file}, {}};
    lines += harness::lease_file_line(lease, one.path, content);
  }
  return {boost::system::in_place_value, std::move(lines)};
}

} // namespace runledger
