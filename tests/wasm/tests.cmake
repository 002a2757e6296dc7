# In wasm the behaviours are one program that prints TAP on `stdio:`; tests/web runs it in Node and in Chromium.
add_executable(conformance ${conformance} conformance/wasm_main.cpp)
target_link_libraries(conformance PRIVATE twinloop::twinloop)
twinloop_warnings(conformance)
set_target_properties(conformance PROPERTIES SUFFIX .mjs)
target_link_options(conformance PRIVATE
  -sMODULARIZE=1 -sEXPORT_ES6=1 -sEXPORT_NAME=createConformance -sENVIRONMENT=web,worker -sFILESYSTEM=0 -sDYNAMIC_EXECUTION=0)
