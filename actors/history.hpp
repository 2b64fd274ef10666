#pragma once

#include "actors/harness/protocol.hpp"
#include "actors/harness/worker_protocol.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/event_log.hpp"
#include "events/session.hpp"

#include <string>
#include <vector>

namespace runledger {

/// A session's timeline as a harness gets it, straight from the ledger (it works with the views
/// absent). Items of `run` before its latest checkpoint are left out, `log` and `usage` always.
/// Members over 256 KiB become files in `work_dir`. The error is the attempt's failure:
/// `ledger_corrupt` where the ledger or the blob store cannot give something, `blob_unavailable`
/// where the blob store cannot give it now (which is no fault of the attempt),
/// `work_folder_unwritable` where a file cannot be written; never an item without its content.
result<std::vector<harness::history_item>, failure>
read_history(const event_log& log, const blob_store& blobs, const session_id& session,
             const run_id& run, const std::string& work_dir);

/// The same from records that are at hand, in the order of their partition: the whole session.
result<std::vector<harness::history_item>, failure>
history_of(const std::vector<record_ptr>& records, const blob_store& blobs, const run_id& run,
           const std::string& work_dir);

/// A payload as a frame's member: its JSON, or (over 256 KiB) empty with a file of the work folder
/// named under `pointer`. Errors are those of read_history.
result<std::string, failure> as_frame_member(const payload& p, const blob_store& blobs,
                                             const std::string& work_dir, std::string_view pointer,
                                             std::vector<harness::blob_descriptor>& files);

/// The lines that bring these files of the work folder to a remote worker.
result<std::string, failure> file_lines(const harness::held_lease& lease,
                                        const std::string& work_dir,
                                        const std::vector<harness::blob_descriptor>& files);

} // namespace runledger
