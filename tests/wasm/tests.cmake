# In wasm the behaviours are one program that prints TAP on `stdio:`; tests/web runs it in Node and in Chromium.
add_executable(conformance ${conformance} wasm/loop_behaviours.cpp wasm/promise_behaviours.cpp conformance/wasm_main.cpp)
target_link_libraries(conformance PRIVATE twinloop::js)
target_include_directories(conformance PRIVATE "${PROJECT_SOURCE_DIR}")
twinloop_warnings(conformance)
set_target_properties(conformance PROPERTIES SUFFIX .mjs)
target_link_options(conformance PRIVATE
  -sMODULARIZE=1 -sEXPORT_ES6=1 -sEXPORT_NAME=createConformance -sENVIRONMENT=web,worker -sFILESYSTEM=0 -sDYNAMIC_EXECUTION=0)

add_executable(fetch_behaviours wasm/fetch_behaviours.cpp)
target_link_libraries(fetch_behaviours PRIVATE twinloop::twinloop)
target_include_directories(fetch_behaviours PRIVATE "${PROJECT_SOURCE_DIR}")
twinloop_warnings(fetch_behaviours)
set_target_properties(fetch_behaviours PROPERTIES SUFFIX .mjs)
target_link_options(fetch_behaviours PRIVATE
  -sMODULARIZE=1 -sEXPORT_ES6=1 -sEXPORT_NAME=createFetchBehaviours -sENVIRONMENT=web,worker -sFILESYSTEM=0 -sDYNAMIC_EXECUTION=0)

add_executable(stdio_program wasm/stdio_program.cpp)
target_link_libraries(stdio_program PRIVATE twinloop::twinloop)
twinloop_warnings(stdio_program)
set_target_properties(stdio_program PROPERTIES SUFFIX .mjs)
target_link_options(stdio_program PRIVATE
  -sMODULARIZE=1 -sEXPORT_ES6=1 -sEXPORT_NAME=createStdioProgram -sENVIRONMENT=web,worker -sFILESYSTEM=0 -sDYNAMIC_EXECUTION=0)

# They need the native programs of build/release beside them, and the page: build both first.
find_program(NODE node REQUIRED)
foreach(name IN ITEMS conformance fetch stdio transcript page programs)
  add_test(NAME "${name} (Node and Chromium)" COMMAND "${NODE}" --test --test-reporter=spec "${CMAKE_CURRENT_LIST_DIR}/../web/${name}.test.mjs")
  set_tests_properties("${name} (Node and Chromium)" PROPERTIES TIMEOUT 300 RUN_SERIAL TRUE)
endforeach()
