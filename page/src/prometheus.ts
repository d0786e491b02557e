import { mount } from "svelte";
import { ui } from "./state/promui.svelte";
import "./view/app.css";
import PrometheusApp from "./view/prometheus/PrometheusApp.svelte";

ui.start();
mount(PrometheusApp, { target: document.getElementById("app")! });
