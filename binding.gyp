{
  # Where there is no prebuild, node-gyp-build (and npm, which sees this file) call node-gyp; the build itself is CMake's.
  "targets": [
    {
      "target_name": "fused-lora",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/fused-lora.node"],
          "action": ["node", "scripts/cmake-build.mjs"]
        }
      ]
    }
  ]
}
