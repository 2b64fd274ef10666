#pragma once

#include "actors/harness/protocol.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/event_log.hpp"
#include "events/session.hpp"

#include <string>
#include <vector>

namespace runledger {

/// A session's timeline as a harness gets it, straight from the ledger (it works with the views
/// absent). Items of `run` before its latest checkpoint are left out, `log` and `usage` always.
/// Members over 256 KiB become files in `work_dir`; one that the blob store cannot give is an
/// error, never an item without it.
result<std::vector<harness::history_item>, read_error>
read_history(const event_log& log, const blob_store& blobs, const session_id& session,
             const run_id& run, const std::string& work_dir);

/// The same from records that are at hand, in the order of their partition: the whole session.
result<std::vector<harness::history_item>, read_error>
history_of(const std::vector<record_ptr>& records, const blob_store& blobs, const run_id& run,
           const std::string& work_dir);

/// A payload as a frame's member: its JSON, or (over 256 KiB) empty with a file of the work folder
/// named under `pointer`. An error: the blob store cannot give its content.
result<std::string, read_error> as_frame_member(const payload& p, const blob_store& blobs,
                                                const std::string& work_dir,
                                                std::string_view pointer,
                                                std::vector<harness::blob_descriptor>& files);

} // namespace runledger
