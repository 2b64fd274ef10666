#include "actors/importer_actor.hpp"

#include "actors/harness/artifact.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <filesystem>

namespace runledger {

namespace {

constexpr std::uint64_t artifact_bytes_max = 4ULL << 30;

/// Asked again after this, the blob store may have room, as the ledger may.
constexpr std::chrono::milliseconds store_retry{1000};

/// Fills blob or problem; false: the store cannot take it now.
bool import(services& s, const take_artifact_mail& ask, artifact_taken& out) {
  auto file = harness::take_artifact(ask.work_dir, ask.frame->path, artifact_bytes_max);
  if (!file) {
    out.problem = file.error().message;
    return true;
  }
  auto blob = s.blobs.put_file(file->fd(), artifact_bytes_max);
  if (blob)
    out.blob = *blob;
  else if (blob.error() == blob_errc::unavailable)
    return false;
  else
    out.problem = "The artifact `" + ask.frame->path + "` is too large.";
  return true;
}

importer_actor::behavior_type importer_behavior(importer_actor::pointer self, services_ptr s) {
  return {[self, s](take_artifact_mail& ask) {
            artifact_taken taken;
            if (!import(*s, ask, taken)) { // Its run waits, and loses nothing by it.
              self->delayed_send(self, store_retry, std::move(ask));
              return;
            }
            taken.attempt = ask.attempt;
            taken.frame = ask.frame;
            run_mail mail;
            mail.session = ask.session;
            mail.workspace = ask.workspace;
            mail.body = std::move(taken);
            caf::anon_send(ask.by, std::move(mail));
          },
          [](const remove_folder& ask) {
            std::error_code ignored;
            std::filesystem::remove_all(ask.path, ignored);
          }};
}

} // namespace

importer_actor spawn_importer(caf::actor_system& sys, services_ptr s) {
  if (s->settings.importer_thread)
    return sys.spawn<caf::detached>(importer_behavior, std::move(s));
  return sys.spawn(importer_behavior, std::move(s));
}

} // namespace runledger
