# Verbs only; the logic is in CMake and in scripts/.
.PHONY: run build test bench fmt tidy check soak kafka-matrix

run: build
	build/release/runledger serve

build:
	cmake --preset release
	cmake --build --preset release

test:
	scripts/test

# The quick part of the tests.
check:
	scripts/test --quick

bench:
	scripts/bench

fmt:
	scripts/format

tidy: build
	scripts/tidy

# The simulation, the crash tests and faults on several nodes for longer than scripts/test does: SEEDS, KILLS and
# SOAK_SECONDS set how long, NODES, WORKERS and BROKERS how many there are of them.
soak: build
	cd build/release && TEST_SEEDS=$${SEEDS:-50000} TEST_KILLS=$${KILLS:-2000} ctest -L 'sim|crash' --output-on-failure --timeout 36000
	tests/soak/soak --seconds $${SOAK_SECONDS:-1800} --nodes $${NODES:-2} --workers $${WORKERS:-2} \
	  --brokers $${BROKERS:-1}

# The Kafka tests against each version of the broker that is supported.
kafka-matrix: build
	for version in 3.9.2 4.3.1; do \
	  KAFKA_VERSION=$$version ctest --test-dir build/release -L kafka --output-on-failure || exit 1; \
	done
